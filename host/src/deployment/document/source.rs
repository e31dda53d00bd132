//! The text of a file, its places, and the TOML tree in it.
//!
//! Files may come from anyone: size and nesting are bounded before a tree is
//! built, because a tree deeper than the stack would end the process.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;
use toml_parser::ErrorSink;
use toml_parser::parser::EventReceiver;

use super::fault::{Collector, Fault, FaultKind, Faults, Location};

/// Bytes in a file.
const BYTES_MAX: usize = 1 << 20;

/// Levels of tables and arrays within each other. The parser's own limit counts
/// brackets but not the keys between them (`{a.b.c = {d.e.f = ...}}`).
const LEVELS_MAX: usize = 32;

/// A file that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    file: Arc<Path>,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// Reads at most what a file may hold.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let mut bytes = Vec::new();
        // One byte more tells a full file from a larger one.
        let read = fs_err::File::open(path)
            .and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self::new(path, bytes),
            Err(error) => {
                // The place already names the file.
                let error = error.kind().to_string();
                Err(fault(path, 1, 1, FaultKind::Unreadable(error)))
            }
        }
    }

    /// Takes `bytes` as the content of `path`, which need not exist.
    pub fn new(path: &Path, bytes: Vec<u8>) -> Result<Self, Fault> {
        if bytes.len() > BYTES_MAX {
            let bytes_max = BYTES_MAX;
            return Err(fault(path, 1, 1, FaultKind::TooLarge { bytes_max }));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::from_text(path, text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let start = error.as_bytes().get(..valid).unwrap_or_default();
                let start = String::from_utf8_lossy(start).into_owned();
                let location = Self::from_text(path, start).locate(valid);
                Err(Fault {
                    location,
                    kind: Box::new(FaultKind::NotUtf8),
                    help: None,
                })
            }
        }
    }

    fn from_text(path: &Path, text: String) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self {
            file: path.into(),
            text,
            lines,
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of the byte at `offset`.
    pub(crate) fn locate(&self, offset: usize) -> Location {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Location {
            file: Arc::clone(&self.file),
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The tree, if the text is TOML.
    pub(crate) fn tree(&self, faults: &mut Collector<'_>) -> Option<Spanned<DeTable<'_>>> {
        self.check_nesting(faults);
        if faults.has_errors() {
            return None;
        }
        let (tree, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            faults.push(offset, FaultKind::Syntax(error.message().to_owned()));
            if faults.is_full() {
                break;
            }
        }
        errors.is_empty().then_some(tree)
    }

    /// The names of the fields at the top.
    pub(crate) fn top_level_fields(&self) -> Result<Vec<String>, Faults> {
        let mut faults = Collector::new(self);
        let tree = self.tree(&mut faults);
        let names = tree.map(|tree| {
            let names = tree.get_ref().keys();
            names.map(|name| name.get_ref().to_string()).collect()
        });
        faults.finish(names).map(|checked| checked.value)
    }

    /// The place of the first byte.
    pub(crate) fn start(&self) -> Location {
        self.locate(0)
    }

    fn check_nesting(&self, faults: &mut Collector<'_>) {
        let tokens = toml_parser::Source::new(&self.text).lex().into_vec();
        let mut depth = Depth::default();
        toml_parser::parser::parse_document(&tokens, &mut depth, &mut ());
        if let Some(offset) = depth.exceeded_at {
            let levels_max = LEVELS_MAX;
            faults.push(offset, FaultKind::TooDeep { levels_max });
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.file.display())
    }
}

fn fault(path: &Path, line: usize, column: usize, kind: FaultKind) -> Fault {
    let file = path.into();
    Fault {
        location: Location { file, line, column },
        kind: Box::new(kind),
        help: None,
    }
}

/// Counts the levels of the tree that a document would make.
#[derive(Debug, Default)]
struct Depth {
    /// Levels above the innermost open bracket, for each open bracket.
    open: Vec<usize>,
    /// Levels of the current table header.
    header: usize,
    /// Levels of the current key.
    key: usize,
    in_header: bool,
    exceeded_at: Option<usize>,
}

impl Depth {
    fn level(&self) -> usize {
        self.open.last().copied().unwrap_or(self.header) + self.key
    }

    fn check(&mut self, span: toml_parser::Span) -> bool {
        if self.level() > LEVELS_MAX && self.exceeded_at.is_none() {
            self.exceeded_at = Some(span.start());
        }
        self.exceeded_at.is_none()
    }

    fn open_header(&mut self) {
        self.open.clear();
        self.header = 0;
        self.key = 0;
        self.in_header = true;
    }

    fn close_header(&mut self) {
        // An array of tables adds the level of its array.
        self.header = self.key + 1;
        self.key = 0;
        self.in_header = false;
    }

    fn open_bracket(&mut self, span: toml_parser::Span) -> bool {
        let level = self.level() + 1;
        self.open.push(level);
        self.key = 0;
        self.check(span)
    }

    fn close_bracket(&mut self) {
        self.open.pop();
        self.key = 0;
    }
}

impl EventReceiver for Depth {
    fn std_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.open_header();
    }

    fn std_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn array_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.open_header();
    }

    fn array_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn inline_table_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.open_bracket(span)
    }

    fn inline_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close_bracket();
    }

    fn array_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.open_bracket(span)
    }

    fn array_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close_bracket();
    }

    fn key_sep(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.key += 1;
        self.check(span);
    }

    fn value_sep(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.key = 0;
    }

    fn newline(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        if self.open.is_empty() {
            self.key = 0;
        }
    }
}
