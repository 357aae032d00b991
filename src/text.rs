//! Text that many objects bear alike, held once: names of schemas, owners, columns and types, kinds of objects. The
//! catalog of a large database has millions of them, and a few hundred that differ.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arcstr::ArcStr;

/// A string that is cheap to clone and never changes. It takes one word: a large schema holds tens of millions of them.
#[derive(Clone, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Text(ArcStr);

impl Text {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(ArcStr::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(ArcStr::from(text))
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Self {
        text.clone()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Text(ArcStr::from(text))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Several texts that belong together and never change: the privileges of an object, its options.
pub type List = Arc<[String]>;

/// Every text once, and every list.
#[derive(Debug, Default)]
pub struct Texts {
    texts: HashSet<Text>,
    lists: HashSet<List>,
}

impl Texts {
    /// The one that is known already, where there is one.
    pub fn share(&mut self, text: &str) -> Text {
        match self.texts.get(text) {
            Some(known) => known.clone(),
            None => {
                let new = Text::from(text);
                self.texts.insert(new.clone());
                new
            }
        }
    }

    /// The same of a list.
    pub fn share_list(&mut self, list: Vec<String>) -> List {
        match self.lists.get(list.as_slice()) {
            Some(known) => Arc::clone(known),
            None => {
                let new = List::from(list);
                self.lists.insert(Arc::clone(&new));
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_held_once() {
        let mut texts = Texts::default();
        let (one, other, again) = (texts.share("public"), texts.share("app"), texts.share("public"));
        assert!(ArcStr::ptr_eq(&one.0, &again.0));
        assert_eq!((one.as_str(), other == "app", one == other), ("public", true, false));
        let (one, again) = (texts.share_list(vec!["a".to_owned()]), texts.share_list(vec!["a".to_owned()]));
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(texts.share_list(Vec::new()).len(), 0);
    }
}
