//! The input of a fuzz target, read as a list of commands.

/// Reads the input as a list of commands.
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*first))
    }

    /// A time. Small ones are as likely as large ones.
    pub(super) fn span_us(&mut self) -> Option<u64> {
        let byte = self.byte()?;
        Some((1 + u64::from(byte & 0x1F)) << ((byte >> 5) * 3))
    }

    /// As many bytes as the next one says, or as are left.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(bytes)
    }
}
