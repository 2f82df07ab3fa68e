//! A rule's expression as a tree that is as shallow as its brackets: chains are lists, not nested nodes.

use std::borrow::Cow;

use regex::Regex;

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    Literal(Literal),
    /// A variable.
    Name(String),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// `a || b || c`.
    Any(Vec<Expr>),
    /// `a && b && c`.
    All(Vec<Expr>),
    /// Operators of one precedence, from left to right.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// `condition ? then : otherwise`.
    If(Box<[Expr; 3]>),
    /// A value and what is taken of it: `a.b[1].size()`.
    Path(Box<Expr>, Vec<Step>),
    /// A test for a field of a value: `has(a.b)`.
    Has(Box<Expr>, String),
    Call(Function, Vec<Expr>),
}

/// A value that is written out.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// One step along a path.
#[derive(Debug)]
pub(super) enum Step {
    Field(String),
    Index(Expr),
    Method(Function, Vec<Expr>),
    /// `text.matches('…')`, compiled.
    Matches(Regex),
    Each(Box<Each>),
}

/// A comprehension over the values of a list or the keys of a map.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) kind: EachKind,
    /// The name of the value in `body` and `filter`.
    pub(super) variable: String,
    pub(super) body: Expr,
    /// The condition of `map(x, condition, body)`.
    pub(super) filter: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl EachKind {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

/// A function of CEL's standard library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    ToInt,
    ToUint,
    ToDouble,
    ToText,
    ToBool,
    Dyn,
    Timestamp,
    Duration,
    Part(Part),
}

/// A part of a moment (in UTC), or of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Function {
    /// The function of that name with so many arguments; `method` if it is called on a value, which is none of them.
    pub(super) fn named(name: &str, arguments: usize, method: bool) -> Result<Self, String> {
        use Function as F;
        let found = match (name, method) {
            ("size", _) => F::Size,
            ("contains", true) => F::Contains,
            ("startsWith", true) => F::StartsWith,
            ("endsWith", true) => F::EndsWith,
            ("int", false) => F::ToInt,
            ("uint", false) => F::ToUint,
            ("double", false) => F::ToDouble,
            ("string", false) => F::ToText,
            ("bool", false) => F::ToBool,
            ("dyn", false) => F::Dyn,
            ("timestamp", false) => F::Timestamp,
            ("duration", false) => F::Duration,
            (name, true) => F::Part(Part::named(name).ok_or_else(|| unknown(name, method))?),
            (name, false) => return Err(unknown(name, method)),
        };
        let wanted = match found {
            F::Contains | F::StartsWith | F::EndsWith => 1,
            F::Part(_) => 0,
            F::Size if method => 0,
            _ => 1,
        };
        if arguments == wanted {
            Ok(found)
        } else {
            Err(format!("{name} takes {wanted} arguments, not {arguments}"))
        }
    }
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "getFullYear" => Self::FullYear,
            "getMonth" => Self::Month,
            "getDate" => Self::Date,
            "getDayOfMonth" => Self::DayOfMonth,
            "getDayOfWeek" => Self::DayOfWeek,
            "getDayOfYear" => Self::DayOfYear,
            "getHours" => Self::Hours,
            "getMinutes" => Self::Minutes,
            "getSeconds" => Self::Seconds,
            "getMilliseconds" => Self::Milliseconds,
            _ => return None,
        })
    }
}

fn unknown(name: &str, method: bool) -> String {
    let kind = if method { "method" } else { "function" };
    let name: Cow<'_, str> = name.chars().take(40).collect();
    format!(
        "there is no {kind} {name}; rules have CEL's standard operators, macros, size, contains, startsWith, \
             endsWith, matches, conversions, timestamp and duration"
    )
}
