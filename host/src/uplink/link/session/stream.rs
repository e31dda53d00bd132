//! Bytes from the target and to it, a step at a time: either step can be dropped
//! while it waits, and nothing is lost.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::uplink::dial::Stream;
use crate::uplink::link::LinkError;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// Appends what has come.
pub(super) async fn read(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    input: &mut BytesMut,
) -> Result<(), LinkError> {
    input.reserve(READ_BYTES);
    match reader.read_buf(input).await {
        Ok(0) => Err(LinkError::Closed),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(LinkError::Closed),
        Err(error) => Err(LinkError::Io(error)),
    }
}

/// Writes what waits, or sees to it that what was written is on its way.
pub(super) async fn write(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> Result<(), LinkError> {
    if output.is_empty() {
        writer.flush().await.map_err(LinkError::Io)?;
        *unflushed = false;
    } else {
        let written = writer.write(output).await.map_err(LinkError::Io)?;
        if written == 0 {
            return Err(LinkError::Closed);
        }
        output.advance(written);
        *unflushed = true;
    }
    Ok(())
}
