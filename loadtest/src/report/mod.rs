//! Results for people: a table in the terminal, a page with plots.

pub mod html;
mod svg;
pub mod table;
