//! Rust sources as the compiler reads them: comments and strings do not count.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::sources::Source;

/// One token; a string or number is `literal`, a path separator `::`.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// In a `#[cfg(test)]` module, or in a file of tests.
    pub(super) is_test: bool,
    /// How many modules are open around it in this file.
    pub(super) depth: usize,
}

/// A path as written or imported, `a::b::c`, with the place of its first segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) token: usize,
    pub(super) line: usize,
}

pub(super) fn tokens(source: &Source) -> Vec<Token> {
    let stream: TokenStream = source
        .text
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let path = source.path.as_str();
    let is_test =
        path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/");
    let mut reader = Reader {
        tokens: Vec::new(),
        is_test,
        depth: 0,
    };
    reader.read(stream);
    reader.tokens
}

struct Reader {
    tokens: Vec<Token>,
    is_test: bool,
    depth: usize,
}

impl Reader {
    fn read(&mut self, stream: TokenStream) {
        for tree in stream {
            match tree {
                TokenTree::Group(group) => self.group(&group),
                TokenTree::Ident(ident) => self.push(&ident.to_string(), ident.span()),
                TokenTree::Literal(literal) => self.push("literal", literal.span()),
                TokenTree::Punct(punct) => self.punct(punct.as_char(), punct.span()),
            }
        }
    }

    fn punct(&mut self, char: char, span: proc_macro2::Span) {
        match self.tokens.last_mut() {
            Some(last) if char == ':' && last.text == ":" => last.text.push(':'),
            _ => self.push(&char.to_string(), span),
        }
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => return self.read(group.stream()),
        };
        let outside = (self.is_test, self.depth);
        if open == "{" && self.opens_a_module() {
            self.depth += 1;
            self.is_test |= self.is_marked_as_test();
        }
        self.push(open, group.span_open());
        self.read(group.stream());
        (self.is_test, self.depth) = outside;
        self.push(close, group.span_close());
    }

    /// The last tokens are `mod name`.
    fn opens_a_module(&self) -> bool {
        self.tokens.len() >= 2 && self.tokens[self.tokens.len() - 2].text == "mod"
    }

    /// The last tokens are `#[cfg(test)] mod name`.
    fn is_marked_as_test(&self) -> bool {
        let texts: Vec<_> = self
            .tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect();
        let end = texts.len() - 2;
        texts[..end].ends_with(&["#", "[", "cfg", "(", "test", ")", "]"])
    }

    fn push(&mut self, text: &str, span: proc_macro2::Span) {
        self.tokens.push(Token {
            text: text.to_owned(),
            line: span.start().line,
            is_test: self.is_test,
            depth: self.depth,
        });
    }
}

/// Where `sequence` occurs.
pub(super) fn occurrences<'a>(tokens: &'a [Token], sequence: &[&str]) -> Vec<&'a Token> {
    tokens
        .windows(sequence.len())
        .filter(|window| {
            window
                .iter()
                .map(|token| token.text.as_str())
                .eq(sequence.iter().copied())
        })
        .map(|window| &window[0])
        .collect()
}

/// All paths of more than one segment; a `use` of a tree is one path a leaf.
pub(super) fn paths(tokens: &[Token]) -> Vec<Path> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let starts = is_name(text(at)) && text(at + 1) == "::";
        let goes_on = at > 0 && text(at - 1) == "::";
        let in_tree = found.last().is_some_and(|(_, end)| at < *end);
        if starts && !goes_on && !in_tree {
            let mut leaves = Vec::new();
            let end = leaf(tokens, at, &[], &mut leaves);
            found.extend(leaves.into_iter().map(|segments| {
                let path = Path {
                    segments,
                    token: at,
                    line: tokens[at].line,
                };
                (path, end)
            }));
        }
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// Reads a path or a tree of them; returns where it ends.
fn leaf(tokens: &[Token], mut at: usize, prefix: &[String], into: &mut Vec<Vec<String>>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut segments = prefix.to_vec();
    loop {
        if text(at) == "{" && text(at - 1) == "::" {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                let next = leaf(tokens, at, &segments, into);
                at = if next == at { at + 1 } else { next };
                if text(at) == "as" {
                    at += 2;
                }
                if text(at) == "," {
                    at += 1;
                }
            }
            return at + 1;
        }
        if !is_name(text(at)) {
            break;
        }
        segments.push(text(at).to_owned());
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    if segments.len() > prefix.len() || text(at) == "*" {
        into.push(segments);
    }
    if text(at) == "*" { at + 1 } else { at }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_') && text != "literal"
}

#[test]
fn trees_are_read_as_the_paths_they_import() {
    let source = Source::snippet(
        "host/src/x.rs",
        "use crate::{bus::{Bus, inbox::*}, names::Topic as T, spec};\n\
         // crate::in_a_comment\n\
         fn f() -> crate::app::App { \"crate::in_a_string\"; x::<T>::y(); { one::two } }\n",
    );
    let found: Vec<_> = paths(&tokens(&source))
        .into_iter()
        .map(|path| (path.segments.join("::"), path.line))
        .collect();
    let expected = [
        ("crate::bus::Bus", 1),
        ("crate::bus::inbox", 1),
        ("crate::names::Topic", 1),
        ("crate::spec", 1),
        ("crate::app::App", 3),
        ("x", 3),
        ("one::two", 3),
    ];
    let expected = expected.map(|(path, line)| (path.to_owned(), line));
    assert_eq!(found, expected);
}

#[test]
fn only_test_modules_are_tests() {
    let source = Source::snippet(
        "host/src/x.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} mod inner { fn c() {} } }\nmod d { fn e() {} }\nfn g() {}",
    );
    let tokens = tokens(&source);
    let seen = |name: &str| {
        let token = tokens.iter().find(|token| token.text == name).unwrap();
        (token.is_test, token.depth)
    };
    assert_eq!(seen("a"), (false, 0));
    assert_eq!(seen("b"), (true, 1));
    assert_eq!(seen("c"), (true, 2));
    assert_eq!(seen("e"), (false, 1));
    assert_eq!(seen("g"), (false, 0));
}
