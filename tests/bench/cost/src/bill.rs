//! The bill of a month, line by line.

use std::fmt;

use crate::{Counts, Price, Prices};

/// Days of a month.
const DAYS: f64 = 30.0;

/// The memory with which a function has one whole processor (Lambda's developer guide, "Configure Lambda function
/// memory").
const MB_OF_A_PROCESSOR: f64 = 1769.0;

/// How long a poll of an empty queue takes (Lambda's developer guide, "Using Lambda with Amazon SQS").
const POLL_SECONDS: f64 = 20.0;

/// Bytes that CloudWatch adds to each line of a log (its API reference, `PutLogEvents`).
const LINE_OVERHEAD: f64 = 26.0;

/// Lines of one invocation: the connector's, its metrics, and three from Lambda.
const LINES: f64 = 5.0;

/// Bytes that DynamoDB adds to each item, and again to its entry in an index (its developer guide, "Table storage").
const ITEM_OVERHEAD: f64 = 100.0;

/// Bytes of a list that one read unit covers, read consistently.
const READ_UNIT: f64 = 4096.0;

/// The items that a batch reads with its athletes: the holds, one for each service, and the outage.
const HOLDS: f64 = 3.0;

/// Calls to the table that a change makes one after the other: the lease, the ledger, the intended records, the
/// confirmation.
const TABLE_CALLS_OF_A_CHANGE: f64 = 4.0;

/// Requests of a visit: the page, the button, the callback from Oura, and the page once more.
const REQUESTS_OF_A_VISIT: f64 = 4.0;

/// Minutes of a day.
const MINUTES: f64 = 24.0 * 60.0;

const GB: f64 = 1024.0 * 1024.0 * 1024.0;

/// The site whose bill is calculated.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Connected athletes.
    pub athletes: u32,
    /// Memory of the worker, in MB.
    pub worker_mb: f64,
}

/// What the cost of a line depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The number of athletes, whether or not anything changes.
    Ticks,
    /// The changes of the athletes' data.
    Changes,
    /// Nothing: an installation without athletes pays it too.
    Installation,
}

/// One line: a number of units of one thing.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the cost depends on.
    pub payer: Payer,
    /// What is paid for.
    pub what: &'static str,
    /// Units a month.
    pub units: f64,
    /// US dollars a month.
    pub dollars: f64,
}

/// The bill of one month.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The site.
    pub site: Site,
    /// The lines, in the order in which they are printed.
    pub lines: Vec<Line>,
}

/// Calculates the bill of a month of 30 days.
#[must_use]
pub fn bill(prices: &Prices, counts: &Counts, site: Site) -> Bill {
    let month = Month { prices, counts, site };
    Bill { site, lines: [month.ticks(), month.changes(), month.installation()].concat() }
}

/// The inputs of the lines.
struct Month<'a> {
    prices: &'a Prices,
    counts: &'a Counts,
    site: Site,
}

impl Month<'_> {
    fn athlete_days(&self) -> f64 {
        f64::from(self.site.athletes) * DAYS
    }

    fn firings(&self) -> f64 {
        DAYS * MINUTES / self.counts.template.period_minutes
    }

    fn syncs(&self) -> f64 {
        f64::from(self.site.athletes) * self.firings()
    }

    fn batches(&self) -> f64 {
        self.syncs() / self.counts.template.batch
    }

    fn enrolments(&self) -> f64 {
        self.counts.template.enrolments_a_day * DAYS
    }

    /// Seconds of a batch in which nothing changed. The batch waits for the slowest of its athletes, whose requests are
    /// concurrent. It computes for all of them with the share of a processor that its memory buys.
    fn unchanged(&self) -> f64 {
        let Counts { template, assumed, .. } = self.counts;
        let share = (self.site.worker_mb / MB_OF_A_PROCESSOR).min(1.0);
        seconds(assumed.table_ms + assumed.oura_ms + assumed.cpu_ms * template.batch / share)
    }

    /// How many seconds a batch takes longer, on average, because of changes. In the worst case the changes are spread
    /// over the day, so that nearly every batch contains one and waits for it.
    fn delayed(&self) -> f64 {
        let Counts { template, day, code, assumed, .. } = self.counts;
        let likely = day.changes * template.period_minutes / MINUTES;
        let some = 1.0 - (1.0 - likely).powf(template.batch);
        let turns = (likely * template.batch / code.deliveries_at_once).max(1.0);
        let requests = day.smartabase_requests / day.changes;
        some * turns * seconds(requests * assumed.smartabase_ms + TABLE_CALLS_OF_A_CHANGE * assumed.table_ms)
    }

    /// The lines that depend on the number of athletes, whether or not anything changes.
    fn ticks(&self) -> Vec<Line> {
        let Self { prices, counts: Counts { template, day, bytes, code, assumed }, site } = self;
        let of = |what, units, price| Line::of(Payer::Ticks, what, units, price);
        let (syncs, batches) = (self.syncs(), self.batches());
        let worker = gb_seconds(site.worker_mb, batches * self.unchanged());
        let calls = syncs / code.messages_in_a_call;
        let planning = calls / code.calls_at_once * seconds(assumed.table_ms);
        let enrolling = self.enrolments() * f64::from(site.athletes) * seconds(assumed.enrolment_ms);
        let by_schedule = gb_seconds(template.scheduler_mb, planning) + gb_seconds(template.enrol_mb, enrolling);
        // Eventually consistent reads: half a unit for an item, and for 4 KB of a list.
        let read = (syncs + batches * HOLDS + syncs * bytes.index_entry / READ_UNIT) / 2.0;
        vec![
            of("Lambda: invocations of the worker", batches, &prices.lambda_requests),
            of("Lambda: GB-seconds of the worker", worker, &prices.lambda_gb_seconds),
            of("Lambda: GB-seconds of planning and enrolling", by_schedule, &prices.lambda_gb_seconds),
            of("SQS: send, receive and delete by tens", 3.0 * calls, &prices.queue_requests),
            of("DynamoDB: read units", read, &prices.table_read_units),
            of("DynamoDB: write units of heartbeats", self.athlete_days() * day.heartbeats, &prices.table_write_units),
            of("CloudWatch: log, GB", self.log(batches, bytes.batch_log), &prices.log_gb),
        ]
    }

    /// The lines that depend on the changes of the athletes' data.
    fn changes(&self) -> Vec<Line> {
        let Self { prices, counts: Counts { template, day, bytes, assumed, .. }, site } = self;
        let of = |what, units, price| Line::of(Payer::Changes, what, units, price);
        let athletes = f64::from(site.athletes);
        let waiting = gb_seconds(site.worker_mb, self.batches() * self.delayed());
        let records = assumed.days_kept * assumed.records_a_day * (bytes.record + ITEM_OVERHEAD);
        let connection = bytes.connection + bytes.index_entry + 2.0 * ITEM_OVERHEAD;
        let log = self.athlete_days() * (day.log_bytes + day.log_lines * LINE_OVERHEAD);
        let visits = athletes * assumed.visits_a_month;
        let visiting = gb_seconds(template.oauth_mb, visits * seconds(assumed.visit_ms));
        vec![
            of("Lambda: GB-seconds waiting for Smartabase", waiting, &prices.lambda_gb_seconds),
            of("DynamoDB: read units", self.athlete_days() * day.read_units, &prices.table_read_units),
            of("DynamoDB: write units", self.athlete_days() * day.write_units, &prices.table_write_units),
            of("DynamoDB: storage and recovery, GB", athletes * (connection + records) / GB, &prices.table_gb_months),
            of("CloudWatch: log, GB", log / GB, &prices.log_gb),
            of("API Gateway: requests to the connect page", visits * REQUESTS_OF_A_VISIT, &prices.api_requests),
            of("Lambda: invocations by the connect page", visits * REQUESTS_OF_A_VISIT, &prices.lambda_requests),
            of("Lambda: GB-seconds of the connect page", visiting, &prices.lambda_gb_seconds),
        ]
    }

    /// The lines that do not depend on the number of athletes.
    fn installation(&self) -> Vec<Line> {
        let Self { prices, counts: Counts { template, bytes, code, assumed, .. }, .. } = self;
        let of = |what, units, price| Line::of(Payer::Installation, what, units, price);
        let (firings, fired) = (self.firings(), self.firings() + self.enrolments());
        let metrics = code.metrics_of_a_day + code.metrics_of_enrolment * template.enrolments_a_day / 24.0;
        let secrets_read = template.secrets * DAYS * MINUTES / code.secrets_believed_minutes;
        let polls = assumed.pollers * DAYS * MINUTES * 60.0 / POLL_SECONDS;
        let planning = gb_seconds(template.scheduler_mb, firings * seconds(assumed.tick_ms));
        vec![
            of("CloudWatch: alarms", template.alarms, &prices.alarms),
            of("CloudWatch: dashboards", template.dashboards, &prices.dashboards),
            of("CloudWatch: metrics", metrics, &prices.metrics),
            of("CloudWatch: log, GB", self.log(firings, bytes.tick_log), &prices.log_gb),
            of("Secrets Manager: secrets", template.secrets, &prices.secrets),
            of("Secrets Manager: requests, at most", secrets_read, &prices.secret_requests),
            of("SQS: polls of the empty queue, at most", polls, &prices.queue_requests),
            of("EventBridge Scheduler: firings", fired, &prices.schedule_firings),
            of("Lambda: invocations by schedule", fired, &prices.lambda_requests),
            of("Lambda: GB-seconds of ticks", planning, &prices.lambda_gb_seconds),
        ]
    }

    /// Gigabytes of log for this many invocations, each of which logs `bytes` besides its fixed lines.
    fn log(&self, invocations: f64, bytes: f64) -> f64 {
        invocations * (bytes + self.counts.assumed.platform_log + LINES * LINE_OVERHEAD) / GB
    }
}

impl Line {
    fn of(payer: Payer, what: &'static str, units: f64, price: &Price) -> Self {
        Self { payer, what, units, dollars: units * price.dollars / price.per }
    }
}

impl Bill {
    /// US dollars a month for the lines of one kind.
    #[must_use]
    pub fn dollars(&self, payer: Payer) -> f64 {
        self.lines.iter().filter(|line| line.payer == payer).map(|line| line.dollars).sum()
    }

    /// US dollars a month for all lines.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.lines.iter().map(|line| line.dollars).sum()
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = [
            (Payer::Ticks, "With the athletes, changed or not"),
            (Payer::Changes, "With what their rings bring"),
            (Payer::Installation, "With neither"),
        ];
        for (payer, title) in groups {
            writeln!(f, "{title}")?;
            for line in self.lines.iter().filter(|line| line.payer == payer) {
                writeln!(f, "  {:<44}{:>14}{:>9.2}", line.what, grouped(line.units), line.dollars)?;
            }
            writeln!(f, "  {:<58}{:>9.2}", "", self.dollars(payer))?;
        }
        write!(f, "{:<60}{:>9.2}", "US dollars a month", self.total())
    }
}

/// A number for people: with a comma between thousands, and two decimals if it is below ten.
fn grouped(units: f64) -> String {
    let digits = if units < 10.0 && units.fract() > 0.0 { 2 } else { 0 };
    let plain = format!("{units:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut written = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written + rest
}

fn gb_seconds(mb: f64, seconds: f64) -> f64 {
    mb / 1024.0 * seconds
}

fn seconds(milliseconds: f64) -> f64 {
    milliseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(athletes: u32) -> Bill {
        let counts = Counts::held().unwrap();
        bill(&Prices::listed().unwrap(), &counts, Site { athletes, worker_mb: counts.template.worker_mb })
    }

    fn same(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9 * other.abs().max(1.0)
    }

    #[test]
    fn all_lines_but_the_installation_grow_with_the_athletes() {
        let (one, two) = (of(1000), of(2000));
        for (one, two) in one.lines.iter().zip(&two.lines) {
            let times = if one.payer == Payer::Installation { 1.0 } else { 2.0 };
            assert!(same(two.dollars, one.dollars * times), "{one:?} became {two:?}");
            assert!(one.units > 0.0 && one.dollars > 0.0, "{one:?}");
        }
    }

    #[test]
    fn total_is_the_sum_of_the_printed_groups() {
        let bill = of(1000);
        let groups = [Payer::Ticks, Payer::Changes, Payer::Installation].map(|payer| bill.dollars(payer));
        assert!(same(groups.iter().sum(), bill.total()), "{groups:?}");
        let printed = bill.to_string();
        for line in &bill.lines {
            assert!(printed.contains(line.what), "{line:?} is not in\n{printed}");
        }
    }

    #[test]
    fn site_without_athletes_pays_only_the_installation() {
        let empty = of(0);
        assert!(same(empty.total(), empty.dollars(Payer::Installation)));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let written = [0.0, 0.066, 9.0, 12.3, 999.0, 57_600.0, 1_550_334.2].map(grouped);
        assert_eq!(written, ["0", "0.07", "9", "12", "999", "57,600", "1,550,334"]);
    }

    /// The target is the goal for a site in which nothing changes.
    #[test]
    fn thousand_unchanged_athletes_cost_less_than_the_target() {
        assert!(of(1000).dollars(Payer::Ticks) < 1.50);
    }
}
