//! The XML that a store answers with. Every number and name in it is somebody else's.

use jiff::Timestamp;
use serde::Deserialize;

use super::fault::{Class, Fault};

/// Code and message, if this is an error.
pub(super) fn error_in(body: &[u8]) -> Option<(String, String)> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct ErrorBody {
        code: String,
        message: String,
    }
    let text = std::str::from_utf8(body).ok()?;
    let start = text.find("<Error").filter(|at| *at < 512)?;
    let error: ErrorBody = quick_xml::de::from_str(text.get(start..)?).ok()?;
    let short = |text: String| text.chars().take(400).collect::<String>();
    (!error.code.is_empty()).then(|| (short(error.code), short(error.message)))
}

/// The region that an error names as the right one.
pub(super) fn region_in(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Region>")?;
    let (region, _) = rest.split_once("</Region>")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (region.len() < 64 && region.bytes().all(is_name)).then(|| region.to_owned())
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    let unreadable =
        |why: String| Fault::local(Class::Unsupported, format!("the store's answer cannot be read: {why}"));
    let text = std::str::from_utf8(body).map_err(|cause| unreadable(cause.to_string()))?;
    quick_xml::de::from_str(text).map_err(|cause| unreadable(cause.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Initiated {
    pub(super) upload_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CopiedPart {
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Objects {
    pub(super) contents: Vec<Object>,
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) last_modified: Timestamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Uploads {
    #[serde(rename = "Upload")]
    pub(super) uploads: Vec<Begun>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Begun {
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) initiated: Timestamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Parts {
    #[serde(rename = "Part")]
    pub(super) parts: Vec<Part>,
    pub(super) is_truncated: bool,
    pub(super) next_part_number_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Part {
    pub(super) last_modified: Timestamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Retention {
    pub(super) mode: String,
    pub(super) retain_until_date: Option<Timestamp>,
}

/// Versions of objects, and the markers that hide removed ones, as they come among each other.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Versions {
    #[serde(rename = "Version")]
    pub(super) versions: Vec<Version>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_version_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) is_latest: bool,
    #[serde(default)]
    pub(super) size: u64,
}

/// The body of a completion: parts in their order.
pub(super) fn completion(etags: &[String]) -> String {
    let mut xml = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (at, etag) in etags.iter().enumerate() {
        let etag = quick_xml::escape::escape(etag.as_str());
        xml.push_str(&format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", at + 1));
    }
    xml.push_str("</CompleteMultipartUpload>");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_wherever_they_are_said() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Later &amp; slower</Message></Error>";
        assert_eq!(error_in(body), Some(("SlowDown".into(), "Later & slower".into())));
        assert_eq!(error_in(b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"), None);
        assert_eq!(error_in(b""), None);
        assert_eq!(error_in(b"<html>Bad gateway"), None);
        assert_eq!(error_in(&[0xff; 40]), None);
        let region = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>";
        assert_eq!(region_in(region).as_deref(), Some("eu-west-3"));
    }

    #[test]
    fn lists_may_be_empty_and_need_not_be_whole() {
        let empty: Uploads =
            parse(b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
                .unwrap();
        assert!(empty.uploads.is_empty() && !empty.is_truncated);
        let one: Uploads = parse(
            b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><Upload>\
              <Key>a/b</Key><UploadId>u</UploadId><Initiated>2026-03-01T03:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert_eq!((one.uploads[0].key.as_str(), one.next_key_marker.as_deref()), ("a/b", Some("k")));
        assert!(parse::<Uploads>(b"not xml").is_err() || parse::<Initiated>(b"<a/>").is_err());
    }

    #[test]
    fn versions_and_markers_may_stand_among_each_other() {
        let version = |latest: bool, size: u32| {
            format!(
                "<Version><Key>k</Key><VersionId>v</VersionId><IsLatest>{latest}</IsLatest><Size>{size}</Size></Version>"
            )
        };
        let marker = "<DeleteMarker><Key>k</Key><VersionId>m</VersionId><IsLatest>true</IsLatest></DeleteMarker>";
        let text = format!(
            "<ListVersionsResult><Name>b</Name>{}{marker}{}{marker}{}<IsTruncated>false</IsTruncated></ListVersionsResult>",
            version(true, 1),
            version(false, 2),
            version(false, 3)
        );
        let found: Versions = parse(text.as_bytes()).unwrap();
        let old: Vec<u64> = found.versions.iter().filter(|one| !one.is_latest).map(|one| one.size).collect();
        assert_eq!((old, found.is_truncated), (vec![2, 3], false));
    }

    #[test]
    fn parts_are_completed_in_their_order() {
        let xml = completion(&["\"a\"".into(), "b".into()]);
        assert!(xml.contains("<PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag>"), "{xml}");
        assert!(xml.contains("<PartNumber>2</PartNumber><ETag>b</ETag>"), "{xml}");
    }
}
