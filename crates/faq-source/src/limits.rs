//! What a reader takes at most, all of it in one place. A source is somebody else's file: every number in it that
//! asks for memory or time meets one of these first. docs/limits.md tells users.

/// What a reader takes at most. The defaults are those of a spreadsheet program, or well above any FAQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Rows of data.
    pub rows: u64,
    /// Columns in use.
    pub columns: u32,
    /// Cells in use.
    pub cells: u64,
    /// Characters of one cell or field.
    pub text_chars: usize,
    /// Bytes of one row, record or line.
    pub record_bytes: usize,
    /// Bytes that reading may hold at a time: the file, a workbook's shared texts, the rows. An estimate that rather
    /// counts too much, and leaves the process below 256 MiB.
    pub memory_bytes: u64,
    /// What a workbook's container holds at most.
    pub workbook: WorkbookLimits,
}

/// What a workbook's container holds at most, counted while it is inflated: declared sizes are never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkbookLimits {
    /// Parts in the container, and sheets that its workbook lists.
    pub parts: usize,
    /// Bytes of one part, inflated. The parser may hold one whole text of a part three times.
    pub part_bytes: u64,
    /// Bytes of all parts, inflated.
    pub total_bytes: u64,
    /// How many times larger than packed a part may be.
    pub ratio: u64,
    /// Below so many bytes a high ratio is a small file of blanks, not a bomb.
    pub ratio_from: u64,
    /// Bytes of a tag, or of a text between two tags, in a part that is parsed; the longest text of a cell takes
    /// 64 KiB.
    pub run_bytes: usize,
    /// Shared texts, announced or present.
    pub shared_texts: u64,
    /// Bytes of all styles: each holds a copy of its font's name and of its number format.
    pub style_bytes: u64,
    /// Tags in a part that lists sheets, relations or styles: each becomes a value in memory.
    pub listed: u64,
    /// Bytes of text in the cells that are read, those of rejected rows too: cells may share one long text.
    pub text_bytes: u64,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            rows: 1_048_576,
            columns: 256,
            cells: 5_000_000,
            text_chars: 32_767,
            record_bytes: 1 << 20,
            memory_bytes: 208 << 20,
            workbook: WorkbookLimits::default(),
        }
    }
}

impl Default for WorkbookLimits {
    fn default() -> Self {
        Self {
            parts: 10_000,
            part_bytes: 64 << 20,
            total_bytes: 256 << 20,
            ratio: 200,
            ratio_from: 4 << 20,
            run_bytes: 1 << 20,
            shared_texts: 1_048_576,
            style_bytes: 96 << 20,
            listed: 300_000,
            text_bytes: 256 << 20,
        }
    }
}

/// A number of bytes for a message: `64 MiB`, `100 B`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        number if number >= 1 << 20 && number.is_multiple_of(1 << 20) => {
            format!("{} MiB", number >> 20)
        }
        number if number >= 1 << 10 && number.is_multiple_of(1 << 10) => {
            format!("{} KiB", number >> 10)
        }
        number => format!("{number} B"),
    }
}
