//! Keeps an event on one line: names come from repositories, and must not write lines of their own or steer a terminal.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

/// Writes lines whose control characters are spelled out; the end of the line stays.
pub(super) struct OneLine<W>(pub(super) W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

/// An event arrives in one piece.
impl<W: io::Write> io::Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.contains(char::is_control) {
            let spell = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.into() };
            let end = &text[line.len()..];
            self.0.write_all((line.chars().map(spell).collect::<String>() + end).as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
