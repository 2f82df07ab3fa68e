//! Parses tokens to a tree of limited size and depth.

use std::vec;

use regex::{Regex, RegexBuilder};

use super::{
    lex::{Token, words},
    syntax::{Each, EachKind, Expr, Function, Literal, Operator, Step},
};

/// The longest expression, in bytes: a screen of text, and a bound on all that follows.
const MAX_LENGTH: usize = 4096;

/// The depth to which brackets, conditions and arguments may nest. Parser and evaluator recurse once for each,
/// at some kilobytes of stack; threads here have a megabyte or more.
const MAX_DEPTH: usize = 24;

/// The depth to which comprehensions may nest: each level multiplies the work by the length of a list.
const MAX_LOOPS: usize = 2;

/// The memory of a compiled pattern, in bytes: some hundred states.
const MAX_PATTERN: usize = 16 * 1024;

/// Reads an expression; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    let mut parser = Parser {
        words: words(text)?.into_iter().peekable(),
        depth: 0,
        loops: 0,
    };
    let expr = parser.expr()?;
    match parser.words.next() {
        None => Ok(expr),
        Some(word) => Err(format!("{} is not expected there", shown(&word))),
    }
}

struct Parser {
    words: std::iter::Peekable<vec::IntoIter<Token>>,
    depth: usize,
    loops: usize,
}

type Parsed = Result<Expr, String>;

impl Parser {
    fn expr(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it nests more than {MAX_DEPTH} deep"));
        }
        let condition = self.any()?;
        let expr = if self.take("?") {
            let then = self.any()?;
            self.expect(":")?;
            let otherwise = self.expr()?;
            Expr::If(Box::new([condition, then, otherwise]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn any(&mut self) -> Parsed {
        let first = self.all()?;
        let mut parts = vec![first];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(one(parts, Expr::Any))
    }

    fn all(&mut self) -> Parsed {
        let first = self.relation()?;
        let mut parts = vec![first];
        while self.take("&&") {
            parts.push(self.relation()?);
        }
        Ok(one(parts, Expr::All))
    }

    fn relation(&mut self) -> Parsed {
        use Operator as O;
        let signs = [
            ("==", O::Equal),
            ("!=", O::NotEqual),
            ("<=", O::LessOrEqual),
            (">=", O::GreaterOrEqual),
            ("<", O::Less),
            (">", O::Greater),
        ];
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let operator = match self.words.peek() {
                Some(Token::Name(name)) if name == "in" => {
                    self.words.next();
                    Some(O::In)
                }
                _ => self.operator(&signs),
            };
            match operator {
                Some(operator) => rest.push((operator, self.sum()?)),
                None => return Ok(chain(first, rest)),
            }
        }
    }

    fn sum(&mut self) -> Parsed {
        let signs = [("+", Operator::Add), ("-", Operator::Subtract)];
        let first = self.product()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(&signs) {
            rest.push((operator, self.product()?));
        }
        Ok(chain(first, rest))
    }

    fn product(&mut self) -> Parsed {
        use Operator as O;
        let signs = [("*", O::Multiply), ("/", O::Divide), ("%", O::Remainder)];
        let first = self.unary()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(&signs) {
            rest.push((operator, self.unary()?));
        }
        Ok(chain(first, rest))
    }

    fn unary(&mut self) -> Parsed {
        let (mut nots, mut minuses) = (0_usize, 0_usize);
        while self.take("!") {
            nots += 1;
        }
        while nots == 0 && self.take("-") {
            minuses += 1;
        }
        // A number with its sign, as the least integer has no positive one.
        if let (1, Some(Token::Int(value))) = (minuses, self.words.peek()) {
            let value = 0_i64
                .checked_sub_unsigned(*value)
                .ok_or("a number is too small")?;
            self.words.next();
            return self.path(Expr::Literal(Literal::Int(value)));
        }
        let primary = self.primary()?;
        let value = self.path(primary)?;
        // Two of either undo each other, but say what type the value must have.
        let unary: fn(Box<Expr>) -> Expr = if nots > 0 { Expr::Not } else { Expr::Negate };
        Ok(match nots + minuses {
            0 => value,
            times if times % 2 == 1 => unary(Box::new(value)),
            _ => unary(Box::new(unary(Box::new(value)))),
        })
    }

    /// The steps that are taken from `value`.
    fn path(&mut self, value: Expr) -> Parsed {
        let mut steps = Vec::new();
        loop {
            if self.take(".") {
                let name = self.name()?;
                steps.push(if self.take("(") {
                    self.method(&name)?
                } else {
                    Step::Field(name)
                });
            } else if self.take("[") {
                steps.push(Step::Index(self.expr()?));
                self.expect("]")?;
            } else if steps.is_empty() {
                return Ok(value);
            } else {
                return Ok(Expr::Path(Box::new(value), steps));
            }
        }
    }

    fn method(&mut self, name: &str) -> Result<Step, String> {
        let each = EachKind::named(name);
        self.loops += usize::from(each.is_some());
        if self.loops > MAX_LOOPS {
            return Err(format!(
                "it nests all, exists, filter or map more than {MAX_LOOPS} deep"
            ));
        }
        let arguments = self.list(")")?;
        let Some(kind) = each else {
            return method(name, arguments);
        };
        self.loops -= 1;
        let mut arguments = arguments.into_iter();
        let (variable, second) = match (arguments.next(), arguments.next()) {
            (Some(Expr::Name(variable)), Some(second)) => (variable, second),
            _ => return Err(format!("write {name}(x, …) with a name for the value")),
        };
        let (filter, body) = match (arguments.next(), arguments.next()) {
            (None, _) => (None, second),
            (Some(body), None) if kind == EachKind::Map => (Some(second), body),
            _ => return Err(format!("{name} has too many arguments")),
        };
        Ok(Step::Each(Box::new(Each {
            kind,
            variable,
            body,
            filter,
        })))
    }

    fn primary(&mut self) -> Parsed {
        let word = self.words.next().ok_or("it ends too early")?;
        Ok(match word {
            Token::Int(value) => {
                let value = i64::try_from(value).map_err(|_| format!("{value} is too large"))?;
                Expr::Literal(Literal::Int(value))
            }
            Token::Uint(value) => Expr::Literal(Literal::Uint(value)),
            Token::Double(value) => Expr::Literal(Literal::Double(value)),
            Token::Text(value) => Expr::Literal(Literal::Text(value)),
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                inner
            }
            Token::Sign("[") => Expr::List(self.list("]")?),
            Token::Sign("{") => Expr::Map(self.entries()?),
            Token::Sign(".") => Expr::Name(self.name()?),
            Token::Name(name) => match name.as_str() {
                "true" => Expr::Literal(Literal::Bool(true)),
                "false" => Expr::Literal(Literal::Bool(false)),
                "null" => Expr::Literal(Literal::Null),
                "in" => return Err("\"in\" is not expected there".to_owned()),
                _ if self.take("(") => call(&name, self.list(")")?)?,
                _ => Expr::Name(name),
            },
            word @ Token::Sign(_) => return Err(format!("{} is not expected there", shown(&word))),
        })
    }

    fn entries(&mut self) -> Result<Vec<(Expr, Expr)>, String> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expr()?;
            self.expect(":")?;
            entries.push((key, self.expr()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    /// Expressions up to `end`, which is taken too.
    fn list(&mut self, end: &'static str) -> Result<Vec<Expr>, String> {
        let mut list = Vec::new();
        while !self.take(end) {
            list.push(self.expr()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(list)
    }

    fn operator(&mut self, signs: &[(&'static str, Operator)]) -> Option<Operator> {
        signs
            .iter()
            .find(|(sign, _)| self.take(sign))
            .map(|(_, operator)| *operator)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        self.words
            .next_if(|word| *word == Token::Sign(sign))
            .is_some()
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.words.peek().map_or("the end".to_owned(), shown);
        Err(format!("{sign:?} is expected before {found}"))
    }

    fn name(&mut self) -> Result<String, String> {
        match self.words.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(format!(
                "a name is missing before {}",
                other.as_ref().map_or("the end".to_owned(), shown)
            )),
        }
    }
}

fn call(name: &str, mut arguments: Vec<Expr>) -> Parsed {
    if name == "has" {
        let wrong = || "write has(a.b)".to_owned();
        let (Some(Expr::Path(value, mut steps)), true) = (arguments.pop(), arguments.is_empty()) else {
            return Err(wrong());
        };
        let Some(Step::Field(field)) = steps.pop() else {
            return Err(wrong());
        };
        let value = if steps.is_empty() {
            value
        } else {
            Box::new(Expr::Path(value, steps))
        };
        return Ok(Expr::Has(value, field));
    }
    if name == "matches" && arguments.len() == 2 {
        let step = method(name, arguments.split_off(1))?;
        let text = arguments.pop().ok_or("matches has no text")?;
        return Ok(Expr::Path(Box::new(text), vec![step]));
    }
    Ok(Expr::Call(
        Function::named(name, arguments.len(), false)?,
        arguments,
    ))
}

fn method(name: &str, arguments: Vec<Expr>) -> Result<Step, String> {
    if name != "matches" {
        return Ok(Step::Method(
            Function::named(name, arguments.len(), true)?,
            arguments,
        ));
    }
    // What is compiled here is bounded here; a pattern from an event would not be.
    let [Expr::Literal(Literal::Text(pattern))] = arguments.as_slice() else {
        return Err("matches takes one pattern, written out as a text".to_owned());
    };
    Ok(Step::Matches(compiled(pattern)?))
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(16 * MAX_PATTERN)
        .nest_limit(20)
        .build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("the pattern {pattern:?} is too large once compiled")
        }
        error => error.to_string(),
    })
}

/// The only part, or all of them joined.
fn one(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn chain(first: Expr, rest: Vec<(Operator, Expr)>) -> Expr {
    if rest.is_empty() {
        first
    } else {
        Expr::Chain(Box::new(first), rest)
    }
}

fn shown(word: &Token) -> String {
    match word {
        Token::Name(name) => format!("{name:?}"),
        Token::Int(value) | Token::Uint(value) => value.to_string(),
        Token::Double(value) => value.to_string(),
        Token::Text(_) => "a text".to_owned(),
        Token::Sign(sign) => format!("{sign:?}"),
    }
}
