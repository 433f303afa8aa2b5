//! What each database says its tables look like, in the same words.

use std::collections::{BTreeMap, BTreeSet};

use carethread::kernel::store::{Db, Schema, Tx};

/// Columns by name: class of the type, may be NULL.
type Columns = BTreeMap<String, (String, bool)>;
/// Columns in order, unique, only some rows.
type Indexes = BTreeSet<(Vec<String>, bool, bool)>;
type Tables = BTreeMap<String, (Columns, Indexes)>;

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    for schema in [Schema::Record, Schema::Keys] {
        let (_folder, sqlite, server) = super::open(schema).await;
        let here = of_sqlite(&sqlite).await;
        let there = of_postgres(&server).await;
        assert!(here.len() >= 2);
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
        for (table, found) in &here {
            assert_eq!(found, &there[table], "table {table}: SQLite on the left, PostgreSQL on the right");
        }
    }
}

async fn of_sqlite(db: &Db) -> Tables {
    let Tx::Sqlite(mut tx) = db.read().await.unwrap() else { panic!("a file is SQLite") };
    let connection = tx.connection();
    let columns: Vec<(String, String, String, bool, i64)> = sqlx::query_as(
        "SELECT t.name, c.name, c.type, c.\"notnull\" OR c.pk > 0, c.pk FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut tables = Tables::new();
    let mut rowids: BTreeMap<String, String> = BTreeMap::new();
    for (table, column, declared, never_null, key) in columns {
        let class = match declared.to_ascii_lowercase().as_str() {
            // An alias of the 8-byte rowid.
            "integer" if key == 1 => {
                rowids.insert(table.clone(), column.clone());
                "bigint".to_owned()
            }
            other => other.to_owned(),
        };
        tables.entry(table).or_default().0.insert(column, (class, !never_null));
    }
    let indexes: Vec<(String, String, bool, bool, i64, String)> = sqlx::query_as(
        "SELECT t.name, i.name, i.\"unique\", i.partial, k.seqno, k.name
         FROM sqlite_schema AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS k
         WHERE t.type = 'table' ORDER BY 1, 2, 5",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    gather(
        &mut tables,
        indexes.into_iter().map(|(table, index, unique, partial, _, column)| (table, index, unique, partial, column)),
    );
    for (table, column) in rowids {
        tables.entry(table).or_default().1.insert((vec![column], true, false));
    }
    tables
}

async fn of_postgres(db: &Db) -> Tables {
    let Tx::Postgres(mut tx) = db.read().await.unwrap() else { panic!("a URL is PostgreSQL") };
    let connection = tx.connection();
    let columns: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT CAST(table_name AS text), CAST(column_name AS text), CAST(COALESCE(domain_name, data_type) AS text), \
         CAST(is_nullable AS text) FROM information_schema.columns WHERE table_schema = current_schema()",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut tables = Tables::new();
    for (table, column, class, nullable) in columns {
        tables.entry(table).or_default().0.insert(column, (class, nullable == "YES"));
    }
    let indexes: Vec<(String, String, bool, bool, String)> = sqlx::query_as(
        "SELECT CAST(t.relname AS text), CAST(i.relname AS text), x.indisunique, x.indpred IS NOT NULL, CAST(a.attname AS text)
         FROM pg_index AS x
         JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_class AS i ON i.oid = x.indexrelid
         CROSS JOIN UNNEST(CAST(x.indkey AS smallint[])) WITH ORDINALITY AS k (attnum, place)
         JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attnum
         WHERE t.relnamespace = CAST(current_schema() AS regnamespace) ORDER BY 1, 2, k.place",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    gather(&mut tables, indexes.into_iter());
    tables
}

/// One set entry per index from one row per column, rows of an index together and in order.
fn gather(tables: &mut Tables, rows: impl Iterator<Item = (String, String, bool, bool, String)>) {
    let mut indexes: BTreeMap<(String, String), (Vec<String>, bool, bool)> = BTreeMap::new();
    for (table, index, unique, partial, column) in rows {
        let found = indexes.entry((table, index)).or_insert_with(|| (Vec::new(), unique, partial));
        found.0.push(column);
    }
    for ((table, _), index) in indexes {
        tables.entry(table).or_default().1.insert(index);
    }
}
