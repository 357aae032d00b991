//! CREATE SUBSCRIPTION, without connecting: a restored subscription is disabled until somebody enables it.

use crate::ident::{Ident, Literal};
use crate::pg::catalog::subscription::Subscription;
use crate::pg::ddl::text;

pub fn identity(subscription: &Subscription) -> String {
    format!("SUBSCRIPTION {}", Ident::new(subscription.base.name.as_str()))
}

pub fn create(subscription: &Subscription) -> String {
    let publications: Vec<String> =
        subscription.publications.iter().map(|name| Ident::new(name.as_str()).to_string()).collect();
    let slot = subscription.slot.as_ref().map_or("NONE".to_owned(), |slot| Literal(slot).to_string());
    let mut options = vec!["connect = false".to_owned(), format!("slot_name = {slot}")];
    options.extend(subscription.options.iter().map(|(name, value)| format!("{name} = {}", Literal(value))));
    if subscription.synchronous_commit != "off" {
        options.push(format!("synchronous_commit = {}", Literal(&subscription.synchronous_commit)));
    }
    format!(
        "CREATE {} CONNECTION {} PUBLICATION {} WITH ({});\n",
        identity(subscription),
        Literal(&subscription.connection.0),
        publications.join(", "),
        options.join(", ")
    )
}

pub fn alter_owner(subscription: &Subscription) -> String {
    text::alter_owner(&identity(subscription), &subscription.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::object::class;
    use crate::pg::catalog::subscription::ConnectionString;
    use crate::pg::ddl::testing::base;

    #[test]
    fn it_never_connects() {
        let subscription = Subscription {
            base: base(class::PG_SUBSCRIPTION, None, "sub"),
            connection: ConnectionString("host=h password='x'".into()),
            slot: None,
            publications: vec!["p1".into(), "P 2".into()],
            synchronous_commit: "local".into(),
            options: vec![("binary", "true".into()), ("origin", "none".into())],
        };
        assert_eq!(
            create(&subscription),
            "CREATE SUBSCRIPTION \"sub\" CONNECTION 'host=h password=''x''' PUBLICATION \"p1\", \"P 2\" \
             WITH (connect = false, slot_name = NONE, binary = 'true', origin = 'none', \
             synchronous_commit = 'local');\n"
        );
        assert!(!format!("{subscription:?}").contains("password"));
    }
}
