//! Generates arbitrary JSON for property tests. It uses the words of the API, so that it passes the first checks.

use proptest::prelude::*;
use serde_json::Value;

const NAMES: &str = "result|state|message|ids|eventImportResultForForm|eventImportResults|error|pairs|key|value|rows|row|events|export|\
    cursor|nextCursor|users|results|userId|uuid|id|formName|startDate|mergedUsers|oldId|newId|idsOfDeletedUsers|\
    idsOfDeletedEvents|profiles|event|profile|name|type|children|formItemType|required|isReadOnly|__is_rpc_exception__|detailMessage|[a-z]{0,3}";

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "SUCCESSFULLY_IMPORTED|Error|Form|FormItem|Linked Text|Example Form|12345|03/03/2026|1 out of 1 records|The following names \\[A\\]"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(NAMES, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
