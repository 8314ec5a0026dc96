#include "reef/io/internal/s3_answers.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/http.h"
#include "reef/io/internal/upload_record.h"
#include "reef/io/internal/xml.h"
#include "support/temp_dir.h"

namespace reef::io::internal {

TEST_CASE("XML of the kind that services answer with is read, references and all") {
  const auto root = parse_xml(
      "  <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<a xmlns=\"http://x/\" b='1'><b>x &lt;&amp;&#34;&#xE9;</b>"
      "<c:d/><e >t</e\n></a>\n");
  REQUIRE(root);
  CHECK(root->name == "a");
  CHECK(root->children.size() == 3);
  CHECK(root->text_of("b") == "x <&\"é");
  CHECK(root->child("c:d") != nullptr);
  CHECK(root->text_of("e") == "t");
  CHECK(root->text_of("absent").empty());
  CHECK(root->child("absent") == nullptr);
  CHECK(parse_xml("<a>&#128512;&#x7FF;&quot;&apos;&gt;</a>")->text == "😀\xDF\xBF\"'>");
}

TEST_CASE("what is no XML, or more than a service answers, is none") {
  for (const char* text : {"",
                           " ",
                           "a",
                           "<",
                           "<a",
                           "<a>",
                           "<a></b>",
                           "<a></a",
                           "<a></a>x",
                           "<a></a><b/>",
                           "<a b></a>",
                           "<a b=1></a>",
                           "<a b=\"></a>",
                           "<a b=\"<\"></a>",
                           "<a>&x;</a>",
                           "<a>&#0;</a>",
                           "<a>&#xD800;</a>",
                           "<a>&#x110000;</a>",
                           "<a>&#;</a>",
                           "<a>&amp</a>",
                           "<a>&#xZZ;</a>",
                           "<a><!-- --></a>",
                           "<!DOCTYPE a><a/>",
                           "<a><![CDATA[x]]></a>",
                           "<?xml",
                           "<1/>",
                           "<a/ >",
                           "<a><b></a></b>",
                           "&amp;",
                           "<a>&#99999999999;</a>",
                           "<html><p>no</html>"})
    CHECK_MESSAGE(!parse_xml(text), text);
  std::string deep, wide = "<a>";
  for (int i = 0; i < 14; ++i) deep += "<a>";
  for (int i = 0; i < 14; ++i) deep += "</a>";
  CHECK_FALSE(parse_xml(deep));
  CHECK(parse_xml(deep.substr(3, deep.size() - 7)));
  for (int i = 0; i < 200'001; ++i) wide += "<b/>";
  CHECK_FALSE(parse_xml(wide + "</a>"));
  // Cut anywhere, it is none.
  const std::string whole = "<?xml version=\"1.0\"?><a x=\"1\"><b>1&lt;</b></a>";
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK_FALSE(parse_xml(whole.substr(0, i)));
  CHECK(parse_xml(whole));
}

TEST_CASE("errors are shown without what steers a terminal") {
  const auto fault = parse_s3_fault("<Error><Code>A&#27;[2J</Code><Message>m</Message><Region>r</Region></Error>");
  REQUIRE(fault);
  CHECK(fault->code == "A\\x1b[2J");
  CHECK(fault->message == "m");
  CHECK(fault->region == "r");
  CHECK_FALSE(parse_s3_fault("<Error></Error>"));
  CHECK_FALSE(parse_s3_fault("<Fault><Code>A</Code></Fault>"));
}

TEST_CASE("lists are what they must be, or none") {
  const auto listing = parse_s3_listing(
      "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a/b</Key><Size>18446744073709551615</Size>"
      "</Contents><NextContinuationToken>t</NextContinuationToken></ListBucketResult>");
  REQUIRE(listing);
  CHECK(listing->objects.at(0).key == "a/b");
  CHECK(listing->objects.at(0).bytes == UINT64_MAX);
  CHECK(listing->next == "t");
  for (const char* inner :
       {"<Contents><Key>a</Key></Contents>", "<Contents><Key>a</Key><Size>-1</Size></Contents>",
        "<Contents><Key>a</Key><Size>1x</Size></Contents>", "<Contents><Key></Key><Size>1</Size></Contents>",
        "<Contents><Key>a</Key><Size>18446744073709551616</Size></Contents>", "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"})
    CHECK_FALSE_MESSAGE(parse_s3_listing(std::string("<ListBucketResult>") + inner + "</ListBucketResult>"), inner);
  CHECK_FALSE(parse_s3_listing("<html/>"));

  const auto parts = parse_s3_parts(
      "<ListPartsResult><Part><PartNumber>7</PartNumber><Size>5</Size><ETag>&quot;e&quot;</ETag>"
      "<LastModified>2026-11-30T22:01:20Z</LastModified></Part><Part><PartNumber>8</PartNumber><Size>5</Size>"
      "<ETag>f</ETag><LastModified>x</LastModified><ChecksumSHA256>c</ChecksumSHA256></Part>"
      "<IsTruncated>true</IsTruncated><NextPartNumberMarker>8</NextPartNumberMarker></ListPartsResult>");
  REQUIRE(parts);
  CHECK(parts->parts.at(0).etag == "e");
  CHECK(parts->parts.at(0).modified == parse_time("2026-11-30T22:01:20Z"));
  CHECK(parts->parts.at(1).etag == "f");
  CHECK(parts->parts.at(1).sha256 == "c");
  CHECK_FALSE(parts->parts.at(1).modified);
  CHECK(parts->next == "8");
  for (const char* number : {"0", "10001", "", "-1", "x"})
    CHECK_FALSE(parse_s3_parts(std::string("<ListPartsResult><Part><PartNumber>") + number +
                               "</PartNumber><Size>5</Size></Part></ListPartsResult>"));

  const auto uploads = parse_s3_uploads(
      "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId><Initiated>2026-11-30T22:01:20Z</"
      "Initiated>"
      "</Upload></ListMultipartUploadsResult>");
  REQUIRE(uploads);
  CHECK(uploads->uploads.at(0).id == "i");
  CHECK(uploads->next_key.empty());
  CHECK_FALSE(
      parse_s3_uploads("<ListMultipartUploadsResult><Upload><Key>k</Key></Upload></ListMultipartUploadsResult>"));
  CHECK(parse_s3_begun("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>") == "u");
  CHECK_FALSE(parse_s3_begun("<InitiateMultipartUploadResult/>"));
  CHECK(parse_s3_completed("<CompleteMultipartUploadResult/>") == "");
  CHECK_FALSE(parse_s3_completed("<Error><Code>InternalError</Code></Error>"));
}

TEST_CASE("what completes an upload names its parts, whatever their tags hold") {
  const std::string xml = s3_completion({{1, 5, "e&<>\"", "c=", {}}, {2, 3, "f", "d", {}}});
  const auto root = parse_xml(xml);
  REQUIRE(root);
  CHECK(root->children.at(0).text_of("ETag") == "\"e&<>\"\"");
  CHECK(root->children.at(1).text_of("PartNumber") == "2");
  CHECK(root->children.at(1).text_of("ChecksumSHA256") == "d");
}

TEST_CASE("checksums are written as services write them") {
  CHECK(to_base64(io::sha256("hello")) == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
  // Of a part of 5 MiB of "x", as SeaweedFS 4.48 tells it.
  CHECK(s3_checksum_of_parts({io::sha256(std::string(5 << 20, 'x'))}) ==
        "knZjev1o11nOZP5rLpfOudBGaRRfArhZsonsCFiotz8=-1");
}

TEST_CASE("dates of answers") {
  using namespace std::chrono;
  CHECK(parse_http_date("Mon, 30 Nov 2026 22:01:19 GMT") ==
        sys_days(year(2026) / 11 / 30) + hours(22) + minutes(1) + seconds(19));
  for (const char* text : {"", "Mon, 30 Nov 2026 22:01:19 UTC", "Mon, 31 Nov 2026 22:01:19 GMT",
                           "Mon, 30 Nov 2026 24:01:19 GMT", "Mon, 30 ovD 2026 22:01:19 GMT", "2026-11-30T22:01:19Z",
                           "Mon, xx Nov 2026 22:01:19 GMT", "Mon, 30 Nov 2026 22-01-19 GMT"})
    CHECK_FALSE_MESSAGE(parse_http_date(text), text);
}

TEST_CASE("what stands in a query and a path") {
  CHECK(url_query("a/b c~é&=") == "a%2Fb%20c~%C3%A9%26%3D");
  CHECK(url_path("a/b c") == "a/b%20c");
}

namespace {

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

}  // namespace

TEST_CASE("a record of an upload is read as far as it is whole, wherever it ends and whatever becomes of it") {
  const test::TempDir dir;
  UploadRecord record;
  record.url = "http://127.0.0.1/tower/a";
  record.id = "upload-1";
  record.sha256 = io::sha256("file");
  record.bytes = 12;
  record.part_bytes = 5;
  const fs::path path = UploadRecord::path_of(dir.path(), record.url);
  CHECK_FALSE(UploadRecord::read(path));
  record.begin(path);
  record.add(1, {io::sha256("one"), "e1"});
  record.add(3, {io::sha256("three"), "e3"});
  const std::string text = read_file(path);
  const auto whole = UploadRecord::read(path);
  REQUIRE(whole);
  CHECK(whole->url == record.url);
  CHECK(whole->id == "upload-1");
  CHECK(whole->sha256 == record.sha256);
  CHECK(whole->bytes == 12);
  CHECK(whole->part_bytes == 5);
  CHECK(whole->parts.size() == 2);
  CHECK(whole->parts.at(3).etag == "e3");
  CHECK(whole->parts.at(1).sha256 == io::sha256("one"));

  for (std::size_t i = 0; i < text.size(); ++i) {
    write(path, text.substr(0, i));
    if (const auto cut = UploadRecord::read(path)) CHECK(cut->parts.size() <= 1);
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    write(path, changed);
    if (const auto read = UploadRecord::read(path)) {
      CHECK(read->id == "upload-1");
      CHECK(read->parts.size() <= 1);
      if (read->parts.contains(1)) CHECK(read->parts.at(1).etag == "e1");
    }
  }
  write(path, text);
  auto again = UploadRecord::read(path);
  again->begin(path);  // after a torn line nothing would be read
  again->add(2, {io::sha256("two"), "e2"});
  CHECK(UploadRecord::read(path)->parts.size() == 3);
  again->id = "two words";
  CHECK_THROWS_AS(again->begin(path), Error);
}

}  // namespace reef::io::internal
