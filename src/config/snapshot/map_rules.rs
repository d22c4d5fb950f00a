//! What clients may do in maps and how they read them (`map.*` of a namespace).

/// What a session must know about the maps of a namespace, with upstream's defaults filled in (centrifuge
/// client_map.go, centrifugo internal/client/handler.go). How a map is kept is the business of its home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRules {
    /// Who may set keys (`allow_publish_for_*`).
    pub publish: MapPermission,
    /// Who may remove keys (`allow_remove_for_*`).
    pub remove: MapPermission,
    /// The key that is forced on clients (`client_key`).
    pub client_key: ClientKey,
    /// The key named like the client goes with its subscription (`remove_client_on_unsubscribe`).
    pub remove_client_on_unsubscribe: bool,
    /// Keys, or changes, of a page when the client does not say (`default_page_size`).
    pub default_page_size: u32,
    /// Fewest of a page (`min_page_size`).
    pub min_page_size: u32,
    /// Most of a page (`max_page_size`).
    pub max_page_size: u32,
    /// Most changes that are sent at once when a subscription goes live
    /// (`live_transition_max_publication_limit`).
    pub live_limit: u32,
    /// Milliseconds from the first page to the subscription that is live (`subscribe_catch_up_timeout`); none = any
    /// time.
    pub catch_up_timeout_ms: Option<u64>,
}

/// Who may do something in a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapPermission {
    /// Everyone who has a name.
    pub client: bool,
    /// Subscribers who have a name.
    pub subscriber: bool,
    /// A name is not needed.
    pub anonymous: bool,
    /// The backend decides (`publish_proxy_enabled`, `remove_proxy_enabled`).
    pub proxied: bool,
}

/// Which key a client's publications and removals are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientKey {
    /// The one it names.
    #[default]
    Named,
    /// Its client id.
    ClientId,
    /// Its user id.
    UserId,
}

impl Default for MapRules {
    /// Nothing is allowed; the built-in page sizes and time.
    fn default() -> Self {
        Self {
            publish: MapPermission::default(),
            remove: MapPermission::default(),
            client_key: ClientKey::Named,
            remove_client_on_unsubscribe: false,
            default_page_size: 100,
            min_page_size: 100,
            max_page_size: 1000,
            live_limit: 1000,
            catch_up_timeout_ms: Some(5_000),
        }
    }
}

impl MapRules {
    /// The size of a page for what the client asked (upstream: `getMapPageSize`).
    pub fn page_size(&self, asked: i32) -> u32 {
        let asked = u32::try_from(asked).ok().filter(|asked| *asked > 0).unwrap_or(self.default_page_size);
        asked.max(self.min_page_size).min(self.max_page_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_a_size_between_two_bounds() {
        let rules = MapRules { default_page_size: 5, min_page_size: 2, max_page_size: 9, ..MapRules::default() };
        for (asked, expected) in [(0, 5), (-7, 5), (1, 2), (2, 2), (6, 6), (9, 9), (10, 9), (i32::MAX, 9)] {
            assert_eq!(rules.page_size(asked), expected, "{asked}");
        }
        // As upstream, the upper bound wins.
        assert_eq!(MapRules { min_page_size: 20, ..rules }.page_size(0), 9);
    }
}
