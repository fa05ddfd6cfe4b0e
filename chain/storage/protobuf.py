"""As much of protobuf's wire format as file nodes need: varints and byte strings."""

from collections.abc import Iterator

_VARINT, _BYTES = 0, 2
_LONGEST_VARINT = 10
_UINT64_MAX = 2**64 - 1


class MalformedMessage(ValueError):
    """The bytes are no message of this kind."""


def varint(value: int) -> bytes:
    """A number that is not negative."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number_field(number: int, value: int) -> bytes:
    """A field that holds a number."""
    return varint(number << 3 | _VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, each its number and value, in their order.

    Raises:
        MalformedMessage: it ends in mid-field, or has a field that is neither.
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
                raise MalformedMessage(f"field {number} ends {end - len(message)} bytes too late")
            yield number, message[position:end]
            position = end
        else:
            raise MalformedMessage(f"field {number} is of wire type {kind}")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > _UINT64_MAX:
                break
            return value, position + index + 1
    raise MalformedMessage(f"there is no number at byte {position}")
