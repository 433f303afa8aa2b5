//! Channel `me` is kept for 30 days, and its numbers go on.

use crate::kernel::base::world::MINUTE;
use crate::kernel::engine::{Data, sql};
use crate::kernel::policy::PersonKind;
use crate::testing::House;

#[tokio::test]
async fn facts_of_channel_me_go_after_thirty_days_but_the_newest_stays() {
    let house = House::new().await;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    let mut tx = house.engine.shared().db.write().await.unwrap();
    for seq in 1..=3 {
        sql::add_me(&mut tx, nurse.user, seq, house.world.now(), "mentioned", "{}").await.unwrap();
    }
    tx.commit().await.unwrap();
    house.advance(31 * 24 * 60 * MINUTE);
    let late = house.world.now();
    let mut tx = house.engine.shared().db.write().await.unwrap();
    sql::add_me(&mut tx, nurse.user, 4, late, "mentioned", "{}").await.unwrap();
    tx.commit().await.unwrap();
    // The sweep follows the first commit after its hour, and the second waits behind it.
    for _ in 0..2 {
        house.engine.run(nurse.clone(), "patient.list", Data::new()).await.unwrap();
    }
    let mut tx = house.engine.shared().db.read().await.unwrap();
    let left = sql::me_page(&mut tx, nurse.user, 0, 10).await.unwrap();
    assert_eq!(left.iter().map(|fact| fact.seq).collect::<Vec<_>>(), [4]);
    assert_eq!(sql::me_head(&mut tx, nurse.user).await.unwrap(), 4);
}
