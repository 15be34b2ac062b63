//! The client against small sites of its own, which answer with what the vendor documents and what real sites were seen
//! to answer.

mod imports;
mod lookups;
mod people;
mod site;
mod wire;
