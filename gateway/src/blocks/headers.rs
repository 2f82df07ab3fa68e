//! Headers by which the building blocks vouch for a call, and which nobody outside may set.

use http::HeaderMap;

const DAPR_HEADERS: &str = "dapr-";

/// Takes out what only the building blocks may say of a call.
pub fn remove_dapr_headers(headers: &mut HeaderMap) {
    let is_theirs = |name: &&http::HeaderName| name.as_str().starts_with(DAPR_HEADERS);
    let theirs: Vec<_> = headers.keys().filter(is_theirs).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_building_blocks_are_removed_and_others_stay() {
        let mut headers = HeaderMap::new();
        for name in ["dapr-app-id", "dapr-api-token", "x-dapr", "accept"] {
            headers.insert(name, http::HeaderValue::from_static("1"));
        }
        remove_dapr_headers(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("x-dapr") && headers.contains_key("accept"));
    }
}
