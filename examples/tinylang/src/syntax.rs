//! Reads text into nested lists of words, each with its line.

use crate::error::Error;

/// A word, a text or a list, and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line, from 1.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A text in quotes.
    Text(String),
    /// A name.
    Name(String),
    /// A list in parentheses.
    List(Vec<Node>),
}

/// Lists may be nested so deep.
const DEEPEST: usize = 200;

/// Reads a whole program.
pub fn read(source: &str) -> Result<Vec<Node>, Error> {
    let mut reader = Reader { rest: source, line: 1 };
    let mut nodes = Vec::new();
    while let Some(node) = reader.node(0)? {
        nodes.push(node);
    }
    match reader.rest.is_empty() {
        true => Ok(nodes),
        false => Err(Error::new(reader.line, "a ) that closes nothing")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
}

impl Reader<'_> {
    /// The next node, or `None` before a `)` and at the end.
    fn node(&mut self, depth: usize) -> Result<Option<Node>, Error> {
        self.skip_blanks();
        let line = self.line;
        let kind = match self.rest.chars().next() {
            None | Some(')') => return Ok(None),
            Some('(') if depth == DEEPEST => return Err(Error::new(line, "lists are nested too deep")),
            Some('(') => self.list(depth)?,
            Some('"') => self.text()?,
            Some(_) => self.word()?,
        };
        Ok(Some(Node { line, kind }))
    }

    fn skip_blanks(&mut self) {
        loop {
            let blank = match self.rest.bytes().next() {
                Some(b';') => self.rest.find('\n').unwrap_or(self.rest.len()),
                Some(byte) if byte.is_ascii_whitespace() => 1,
                _ => return,
            };
            self.take(blank);
        }
    }

    /// Takes so many bytes, and counts the lines in them.
    fn take(&mut self, length: usize) -> &str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.bytes().filter(|&byte| byte == b'\n').count() as u32;
        taken
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Error> {
        let opened = self.line;
        self.take(1);
        let mut nodes = Vec::new();
        while let Some(node) = self.node(depth + 1)? {
            nodes.push(node);
        }
        if self.rest.is_empty() {
            return Err(Error::new(opened, "this ( is never closed"));
        }
        self.take(1);
        Ok(Kind::List(nodes))
    }

    fn text(&mut self) -> Result<Kind, Error> {
        let opened = self.line;
        self.take(1);
        let end = self.rest.find('"').ok_or_else(|| Error::new(opened, "this text is never closed"))?;
        let text = self.take(end).to_owned();
        self.take(1);
        Ok(Kind::Text(text))
    }

    fn word(&mut self) -> Result<Kind, Error> {
        let line = self.line;
        let ends = |c: char| c.is_ascii_whitespace() || "()\";".contains(c);
        let word = self.take(self.rest.find(ends).unwrap_or(self.rest.len()));
        let digits = word.strip_prefix('-').unwrap_or(word);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Kind::Name(word.to_owned()));
        }
        match (word.parse(), word.parse()) {
            (Ok(int), _) => Ok(Kind::Int(int)),
            (_, Ok(float)) => Ok(Kind::Float(float)),
            _ => Err(Error::new(line, format!("{word} is not a number"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_lines() {
        let nodes = read("; first\n(+ 1\n  -2.5 \"a\nb\" x)").expect("it is well formed");
        let Kind::List(words) = &nodes[0].kind else { panic!("not a list: {nodes:?}") };
        let lines: Vec<u32> = words.iter().map(|word| word.line).collect();
        assert_eq!((nodes[0].line, lines), (2, vec![2, 2, 3, 3, 4]));
        let kinds: Vec<&Kind> = words.iter().map(|word| &word.kind).collect();
        let expected = [
            Kind::Name("+".into()),
            Kind::Int(1),
            Kind::Float(-2.5),
            Kind::Text("a\nb".into()),
            Kind::Name("x".into()),
        ];
        assert_eq!(kinds, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn errors_name_the_line_on_which_it_began() {
        let error = |source: &str| read(source).expect_err(source).to_string();
        assert_eq!(error("(a\n(b\n"), "line 2: this ( is never closed");
        assert_eq!(error("a\n\n)"), "line 3: a ) that closes nothing");
        assert_eq!(error("\n\"a\n"), "line 2: this text is never closed");
        assert_eq!(error("1x"), "line 1: 1x is not a number");
        assert_eq!(error("99999999999999999999x"), "line 1: 99999999999999999999x is not a number");
        assert_eq!(error(&"(".repeat(1_000_000)), "line 1: lists are nested too deep");
    }
}
