"""Change-data streaming connector for Zindigi: accounts as event streams that can be proven complete."""

__version__ = "0.1.0"
