//! Standard error, which the log shares with the progress bar of a command.

use std::io::{self, Write};
use std::sync::LazyLock;

use indicatif::MultiProgress;

/// All bars there are. Without a terminal they are not drawn.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, where lines stay above the bars.
pub(crate) struct Screen;

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
