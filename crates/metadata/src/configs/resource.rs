//! What can have settings.

use std::fmt;

use protocol::Str;

/// The kinds of resources that have settings. The numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// A topic.
    Topic,
    /// A broker, or all brokers if the name is empty.
    Broker,
    /// The log levels of a broker: not kept in the metadata log.
    BrokerLogger,
    /// A subscription to clients' metrics (KIP-714).
    ClientMetrics,
    /// A group.
    Group,
}

impl ResourceType {
    /// Kafka's number.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    /// The kind with Kafka's number.
    #[must_use]
    pub const fn from_number(number: i8) -> Option<ResourceType> {
        match number {
            2 => Some(ResourceType::Topic),
            4 => Some(ResourceType::Broker),
            8 => Some(ResourceType::BrokerLogger),
            16 => Some(ResourceType::ClientMetrics),
            32 => Some(ResourceType::Group),
            _ => None,
        }
    }
}

/// A thing that has settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// Its kind.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: Str,
}

impl ConfigResource {
    /// The resource of this kind and name.
    #[must_use]
    pub fn new(resource_type: ResourceType, name: impl Into<Str>) -> ConfigResource {
        ConfigResource {
            resource_type,
            name: name.into(),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.resource_type, self.name)
    }
}
