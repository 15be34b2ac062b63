use oura::{DailyActivity, DailyReadiness, DailySleep, Document, Field, Quantity, Sleep, Value};

/// Where a field's value comes from: one entry of one collection's table of fields.
#[derive(Clone, Copy)]
pub enum Source {
    /// `daily_activity.*`
    Activity(&'static Field<DailyActivity>),
    /// `daily_readiness.*`
    Readiness(&'static Field<DailyReadiness>),
    /// `daily_sleep.*`
    DailySleep(&'static Field<DailySleep>),
    /// `sleep.*`, of the night's main sleep
    Sleep(&'static Field<Sleep>),
}

/// The documents of one day that a record is built from.
#[derive(Clone, Copy, Default)]
pub(super) struct Day<'a> {
    pub(super) activity: Option<&'a DailyActivity>,
    pub(super) readiness: Option<&'a DailyReadiness>,
    pub(super) daily_sleep: Option<&'a DailySleep>,
    pub(super) sleep: Option<&'a Sleep>,
}

impl Source {
    /// Finds a source by its name in `forms.toml`: collection, dot, field.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (collection, field) = name.split_once('.')?;
        match collection {
            DailyActivity::COLLECTION => find(field).map(Self::Activity),
            DailyReadiness::COLLECTION => find(field).map(Self::Readiness),
            DailySleep::COLLECTION => find(field).map(Self::DailySleep),
            Sleep::COLLECTION => find(field).map(Self::Sleep),
            _ => None,
        }
    }

    /// The names of all sources.
    pub fn names() -> impl Iterator<Item = String> {
        fn of<D: Document>() -> impl Iterator<Item = String> {
            D::FIELDS.iter().map(|field| format!("{}.{}", D::COLLECTION, field.name))
        }
        of::<DailyActivity>().chain(of::<DailyReadiness>()).chain(of::<DailySleep>()).chain(of::<Sleep>())
    }

    /// The collection the source belongs to.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            Self::Activity(_) => DailyActivity::COLLECTION,
            Self::Readiness(_) => DailyReadiness::COLLECTION,
            Self::DailySleep(_) => DailySleep::COLLECTION,
            Self::Sleep(_) => Sleep::COLLECTION,
        }
    }

    /// What the number measures; this decides which units it can be shown in.
    #[must_use]
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Activity(field) => field.quantity,
            Self::Readiness(field) => field.quantity,
            Self::DailySleep(field) => field.quantity,
            Self::Sleep(field) => field.quantity,
        }
    }

    pub(super) fn value(self, day: Day<'_>) -> Option<Value> {
        match self {
            Self::Activity(field) => day.activity.and_then(field.get),
            Self::Readiness(field) => day.readiness.and_then(field.get),
            Self::DailySleep(field) => day.daily_sleep.and_then(field.get),
            Self::Sleep(field) => day.sleep.and_then(field.get),
        }
    }
}

fn find<D: Document>(name: &str) -> Option<&'static Field<D>> {
    D::FIELDS.iter().find(|field| field.name == name)
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Activity(field) => field.name,
            Self::Readiness(field) => field.name,
            Self::DailySleep(field) => field.name,
            Self::Sleep(field) => field.name,
        };
        write!(formatter, "{}.{name}", self.collection())
    }
}
