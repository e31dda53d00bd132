//! A reader of the little XML that descriptions of models are written in.
//!
//! It takes less than XML: elements, attributes and the five entities that every
//! parser knows. What it takes, all parsers read in the same way.

/// Elements within elements.
const DEPTH_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 64;
const ENTITIES: [&str; 5] = ["amp;", "lt;", "gt;", "quot;", "apos;"];

/// The beginning of an element.
#[derive(Debug, Default)]
pub(super) struct Tag<'a> {
    pub(super) name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// As it is written, entities included.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(found, _)| *found == name);
        found.map(|(_, value)| *value)
    }
}

#[derive(Debug)]
pub(super) enum Event<'a> {
    Start(Tag<'a>),
    End,
}

type Result<T> = std::result::Result<T, &'static str>;

pub(super) struct Reader<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
    begun: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let rest = match text.strip_prefix("<?xml ") {
            Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest),
            None => text,
        };
        Self {
            rest,
            open: Vec::new(),
            begun: false,
        }
    }

    /// The next tag; none at the end, which is where all elements are closed.
    pub(super) fn next(&mut self) -> Result<Option<Event<'a>>> {
        let Some((text, rest)) = self.rest.split_once('<') else {
            plain(self.rest)?;
            return match (
                self.open.is_empty(),
                self.begun,
                self.rest.trim().is_empty(),
            ) {
                (true, true, true) => Ok(None),
                _ => Err("it ends before its elements do"),
            };
        };
        plain(text)?;
        if self.open.is_empty() && !text.trim().is_empty() {
            return Err("there is text outside its elements");
        }
        if rest.starts_with(['!', '?']) {
            return Err("it has a document type, a comment or an instruction");
        }
        if let Some(rest) = rest.strip_prefix('/') {
            let (name, rest) = rest.split_once('>').ok_or("an element is cut off")?;
            if self.open.pop() != Some(name.trim_end()) {
                return Err("its elements overlap");
            }
            self.rest = rest;
            return Ok(Some(Event::End));
        }
        if self.open.is_empty() && self.begun {
            return Err("it has more than one element at the top");
        }
        self.begun = true;
        self.start(rest).map(|tag| Some(Event::Start(tag)))
    }

    fn start(&mut self, text: &'a str) -> Result<Tag<'a>> {
        let (name, mut rest) = name(text)?;
        let mut tag = Tag {
            name,
            attributes: Vec::new(),
        };
        loop {
            let trimmed = rest.trim_ascii_start();
            if let Some(after) = trimmed.strip_prefix("/>") {
                self.rest = after;
                return Ok(tag);
            }
            if let Some(after) = trimmed.strip_prefix('>') {
                if self.open.len() >= DEPTH_MAX {
                    return Err("its elements are nested too deeply");
                }
                self.open.push(name);
                self.rest = after;
                return Ok(tag);
            }
            if trimmed.len() == rest.len() || tag.attributes.len() >= ATTRIBUTES_MAX {
                return Err("an element is not well formed");
            }
            let (key, value, after) = attribute(trimmed)?;
            if tag.attribute(key).is_some() {
                return Err("an attribute is given twice");
            }
            tag.attributes.push((key, value));
            rest = after;
        }
    }
}

/// `name = "value"`, and what follows.
fn attribute(text: &str) -> Result<(&str, &str, &str)> {
    let (key, rest) = name(text)?;
    let rest = rest.trim_ascii_start().strip_prefix('=');
    let rest = rest.ok_or("an attribute has no value")?.trim_ascii_start();
    let quote = rest
        .chars()
        .next()
        .filter(|quote| ['"', '\''].contains(quote));
    let quote = quote.ok_or("a value is not in quotes")?;
    let value = rest.get(1..).and_then(|rest| rest.split_once(quote));
    let (value, rest) = value.ok_or("a value is cut off")?;
    if value.contains('<') {
        return Err("a value has a `<`");
    }
    plain(value)?;
    Ok((key, value, rest))
}

fn name(text: &str) -> Result<(&str, &str)> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    let end = text.find(|c| !letter(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or_default();
    if name.is_empty() {
        return Err("a name is missing");
    }
    Ok((name, rest))
}

/// Has no characters that are forbidden, and no entities but the usual ones.
fn plain(text: &str) -> Result<()> {
    if text
        .chars()
        .any(|c| c.is_control() && !c.is_ascii_whitespace())
    {
        return Err("it has control characters");
    }
    let mut entities = text.split('&').skip(1);
    let known = |after: &str| {
        let number = after
            .strip_prefix('#')
            .and_then(|after| after.split_once(';'));
        let number = number.is_some_and(|(digits, _)| {
            (1..=7).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        number || ENTITIES.iter().any(|entity| after.starts_with(entity))
    };
    if entities.all(known) {
        Ok(())
    } else {
        Err("it has an entity")
    }
}
