//! COMMENT ON and SECURITY LABEL ON. What they are on is given as kind and quoted name: `TABLE "s"."t"`.

use crate::ident::{Ident, Literal};
use crate::pg::catalog::comment::{Label, Notes};
use crate::pg::catalog::object::ObjectId;

/// An empty text is no comment.
pub fn comment(on: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("COMMENT ON {on} IS {};\n", Literal(text)) }
}

pub fn label(on: &str, label: &Label) -> String {
    let provider = Ident::new(label.provider.as_str());
    format!("SECURITY LABEL FOR {provider} ON {on} IS {};\n", Literal(&label.text))
}

/// The comment and the labels of an object, or of its part `sub`, in this order.
pub fn notes(notes: &Notes, id: ObjectId, sub: i32, on: &str) -> String {
    let mut out = notes.comment(id, sub).map(|text| comment(on, text)).unwrap_or_default();
    for one in notes.labels(id, sub) {
        out.push_str(&label(on, one));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_literals() {
        assert_eq!(comment("TABLE \"t\"", "it's \\!\nx"), "COMMENT ON TABLE \"t\" IS 'it''s \\!\nx';\n");
        assert_eq!(comment("TABLE \"t\"", ""), "");
        let one = Label { provider: "se\"linux".into(), text: "top 'secret'".into() };
        assert_eq!(
            label("COLUMN \"t\".\"c\"", &one),
            "SECURITY LABEL FOR \"se\"\"linux\" ON COLUMN \"t\".\"c\" IS 'top ''secret''';\n"
        );
    }
}
