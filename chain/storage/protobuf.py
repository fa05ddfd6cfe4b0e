"""The part of protobuf's wire format that file nodes need: varints and byte strings."""

from collections.abc import Iterator

_VARINT, _BYTES = 0, 2
_LONGEST_VARINT = 10
_UINT64_MAX = 2**64 - 1


class MalformedMessage(ValueError):
    """The bytes are not a valid message."""


def varint(value: int) -> bytes:
    """Encode a non-negative number as a varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number_field(number: int, value: int) -> bytes:
    """Encode a field with a number."""
    return varint(number << 3 | _VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Encode a field with bytes, text or a nested message."""
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message, in their order.

    Raises:
        MalformedMessage: the message ends within a field, or has a field of another wire type.
    """
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        value, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            yield number, value
        elif kind == _BYTES:
            end = position + value
            if end > len(message):
                raise MalformedMessage(
                    f"field {number} exceeds the message by {end - len(message)} bytes"
                )
            yield number, message[position:end]
            position = end
        else:
            raise MalformedMessage(f"field {number} has the unknown wire type {kind}")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > _UINT64_MAX:
                break
            return value, position + index + 1
    raise MalformedMessage(f"there is no valid number at byte {position}")
