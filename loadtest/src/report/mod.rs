//! Results for people: a table in the terminal, a page with plots.

pub(crate) mod html;
pub(crate) mod languages;
mod svg;
pub(crate) mod table;
