from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import ConfigurationError, DataError
from connector.sealing import Sealer, decode_key, derive_key, keyed_token

KEY = bytes(range(32))


@given(subject=st.text(), field=st.text(), plaintext=st.binary(max_size=2000))
def test_a_sealed_value_opens_for_its_own_subject_and_field(subject: str, field: str, plaintext: bytes) -> None:
    sealed = Sealer(KEY).seal(subject, field, plaintext)
    assert Sealer(KEY).unseal(subject, field, sealed) == plaintext
    assert len(sealed) == len(plaintext) + 29
    assert sealed[0] == 1


@given(position=st.integers(min_value=0, max_value=39), flip=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_noticed(position: int, flip: int) -> None:
    sealed = bytearray(Sealer(KEY).seal("acc_a", "session/1", b"eleven byte"))
    sealed[position] ^= flip
    with pytest.raises(DataError):
        Sealer(KEY).unseal("acc_a", "session/1", bytes(sealed))


@given(cut=st.integers(min_value=0, max_value=39))
def test_a_cut_value_is_noticed(cut: int) -> None:
    with pytest.raises(DataError):
        Sealer(KEY).unseal("acc_a", "f", Sealer(KEY).seal("acc_a", "f", b"eleven byte")[:cut])


@pytest.mark.parametrize(("subject", "field"), [("acc_b", "f"), ("acc_a", "g"), ("acc_", "af"), ("acc_af", "")])
def test_a_value_cannot_be_moved_to_another_place(subject: str, field: str) -> None:
    sealed = Sealer(KEY).seal("acc_a", "f", b"x")
    with pytest.raises(DataError, match="does not open"):
        Sealer(KEY).unseal(subject, field, sealed)


def test_another_key_or_label_does_not_open_it() -> None:
    sealed = Sealer(KEY).seal("s", "f", b"planted-secret")
    for other in (Sealer(os.urandom(32)), Sealer(KEY, label="other")):
        with pytest.raises(DataError) as caught:
            other.unseal("s", "f", sealed)
        assert "planted" not in str(caught.value)


def test_the_same_value_never_seals_to_the_same_bytes() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.seal("s", "f", b"x") for _ in range(100)}) == 100


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    for use in (Sealer, lambda key: keyed_token(key, "x"), lambda key: derive_key(key, "x")):
        with pytest.raises(ConfigurationError, match="32 bytes"):
            use(bytes(length))


def test_keyed_tokens_are_stable_and_depend_on_key_and_text() -> None:
    token = keyed_token(KEY, "PK36SCBL0000001123456702")
    assert token == "b180127d3d61f637842ccb20452da6e6"  # durable: state keys are made of tokens
    assert token == keyed_token(KEY, "PK36SCBL0000001123456702")
    assert token != keyed_token(KEY, "PK36SCBL0000001123456703")
    assert token != keyed_token(bytes(32), "PK36SCBL0000001123456702")


def test_keys_are_read_from_base64_of_either_alphabet() -> None:
    key = bytes([0xFB, 0xFF] * 16)
    assert decode_key(base64.b64encode(key).decode() + "\n") == key
    assert decode_key(base64.urlsafe_b64encode(key).decode()) == key


@pytest.mark.parametrize("text", ["", "planted*secret", base64.b64encode(bytes(16)).decode()])
def test_a_bad_key_text_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_key(text)
    assert not text or text not in str(caught.value)
