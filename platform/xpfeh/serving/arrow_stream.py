"""Arrow streams from outside: only uncompressed ones, since a small compressed one can unpack to any size."""

from __future__ import annotations

import struct

import pyarrow as pa

from xpfeh.errors import UserError
from xpfeh.files import first_line

# Field numbers in the tables of Arrow's format (Message.fbs, 1.5): fields are optional.
_HEADER_OF_MESSAGE, _COMPRESSION_OF_BATCH = 2, 3


def read_stream(source: bytes | pa.NativeFile) -> pa.Table:
    """Return the table of an Arrow stream.

    Raises
    ------
    UserError
        If it is not one, is compressed, or has dictionaries.
    """
    try:
        buffer = pa.py_buffer(source) if isinstance(source, bytes) else source.read_buffer()
        _check_uncompressed(buffer)
        with pa.ipc.open_stream(buffer) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise UserError(f"the body is not an Arrow stream ({first_line(error)})") from None
    return table


def _check_uncompressed(stream: pa.Buffer) -> None:
    """Refuse compression: pyarrow unpacks a whole batch before one can ask how large it becomes."""
    for message in pa.ipc.MessageReader.open_stream(stream):
        if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
            raise UserError("compressed Arrow streams are not accepted; write it without compression")
        if message.type == "dictionary":
            raise UserError("dictionaries in an Arrow stream are not accepted; write numbers and lists of numbers")


def _is_compressed(message: bytes) -> bool:
    """Return whether a record batch's message names a compression; pyarrow has checked that its offsets are inside."""
    (root,) = struct.unpack_from("<I", message)
    header = _field(message, root, _HEADER_OF_MESSAGE)
    (offset,) = struct.unpack_from("<I", message, header)
    return _field(message, header + offset, _COMPRESSION_OF_BATCH) != 0


def _field(message: bytes, table: int, number: int) -> int:
    """Return the offset of a field of a FlatBuffers table; 0 if it is missing."""
    (back,) = struct.unpack_from("<i", message, table)
    size, _, *places = struct.unpack_from(f"<{2 + number + 1}H", message, table - back)
    return table + places[number] if 4 + 2 * number < size and places[number] else 0
