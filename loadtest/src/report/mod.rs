//! Results for people: a table in the terminal, a page with plots.

pub(crate) mod html;
mod svg;
pub(crate) mod table;
