//! `connector forms spec` prints what an administrator of the site must build.

use std::fmt::Write;

use clap::Args;
use connector::forms::{Holds, Wanted, WantedField};
use serde::Serialize;
use smartabase::FormKind;

use super::File;
use crate::failure::Failure;
use crate::report::{Ending, Report};
use crate::table::{QUIET, STRONG, cell, columns, styled};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    file: File,
    /// Print comma-separated values, one line per field, for a spreadsheet.
    #[arg(long)]
    csv: bool,
}

/// The `--json` output, one entry per field. `--csv` uses the same names as columns.
#[derive(Serialize)]
struct Row<'a> {
    form: &'a str,
    kind: FormKind,
    field: &'a str,
    /// The field type to choose on the site.
    r#type: &'static str,
    /// The unit of the value; empty if it has none.
    unit: &'a str,
    /// The source of the value: `collection.field` of Oura, or the connector itself.
    source: &'a str,
    /// An example of a value, as it is sent.
    example: &'a str,
    notes: &'static str,
}

pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let forms = options.file.read()?;
    let wanted = forms.wanted();
    let rows: Vec<_> = wanted.iter().flat_map(rows).collect();
    let text = if options.csv { csv(&rows)? } else { readable(&wanted) };
    Ok(Report::new(Ending::Fine, &rows, text))
}

fn rows<'a>(wanted: &'a Wanted<'a>) -> impl Iterator<Item = Row<'a>> {
    let (form, kind) = (wanted.form.as_str(), wanted.kind);
    let written = wanted.fields.iter().map(move |field| Row {
        form,
        kind,
        field: field.label,
        r#type: field_type(field),
        unit: field.unit,
        source: &field.source,
        example: &field.example,
        notes: if field.always { "always filled" } else { "must not be required: can be blank" },
    });
    let kept = wanted.keep.iter().map(move |label| Row {
        form,
        kind,
        field: label,
        r#type: "any",
        unit: "",
        source: "staff",
        example: "",
        notes: "must not be required; what staff enter is kept",
    });
    written.chain(kept)
}

/// The simplest field type that can hold the value. The site's format for a time of day is not published, so times are
/// text.
fn field_type(field: &WantedField<'_>) -> &'static str {
    match field.holds {
        Holds::Number => "Number",
        Holds::TimeOfDay | Holds::Text => "Text",
    }
}

fn csv(rows: &[Row<'_>]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| error.to_string());
    let text = written.and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
    let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    text.map_err(|error| Failure::Failed(format!("the table can’t be written ({error}): use --json")))
}

fn readable(wanted: &[Wanted<'_>]) -> String {
    let mut text = String::new();
    for form in wanted {
        let name = styled(form.form.as_str(), STRONG);
        let _ = writeln!(text, "{name}, {} form: {}\n", form.kind.as_str(), form.notes);
        let lines: Vec<_> = rows(form)
            .map(|row| {
                [
                    row.field.into(),
                    row.r#type.into(),
                    row.unit.into(),
                    cell(row.source, QUIET),
                    cell(row.example, QUIET),
                ]
            })
            .collect();
        text += &columns(["FIELD", "TYPE", "UNIT", "SOURCE", "EXAMPLE"], &lines);
        text.push('\n');
    }
    text += "Names and labels count letter for letter. Make no field calculated, linked or required: some days leave some blank.";
    text
}
