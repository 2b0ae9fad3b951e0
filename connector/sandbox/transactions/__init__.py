"""The bank's books of transactions: feeds, what people do with their money, and what an event must say."""
