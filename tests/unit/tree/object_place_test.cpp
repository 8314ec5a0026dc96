#include "reef/tree/object_place.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

namespace reef::tree {
namespace {

Config config(const std::string& tier3) {
  return Config::parse("system", "backup:\n  tier3:\n" + tier3, "system.yaml");
}

Errc refusal(const std::string& name, const std::string& tier3) {
  try {
    s3_place(name, Tree::at("/tree"), config(tier3));
  } catch (const Error& error) {
    return error.code();
  }
  return Errc::failed;
}

}  // namespace

TEST_CASE("tier 3 is in a folder, in a bucket or nowhere") {
  const Tree tree = Tree::at("/tree");
  CHECK_FALSE(tier3_place(tree, config("    region: eu-1\n")));
  CHECK(tier3_place(tree, config("    to: /mnt/nas\n"))->folder == "/mnt/nas");
  CHECK(tier3_place(tree, config("    to: nas\n"))->folder == "/tree/nas");
  const auto place = tier3_place(
      tree, config("    to: s3://tower/reef/tier3/\n    endpoint: http://127.0.0.1:8333\n    key_file: config/key\n"));
  REQUIRE(place);
  CHECK(place->folder.empty());
  REQUIRE(place->s3);
  CHECK(place->s3->name() == "s3://tower/reef/tier3");
  CHECK(place->s3->url() == "http://127.0.0.1:8333/tower/reef/tier3");
  CHECK(place->s3->sigv4.key_file == "/tree/config/key");
  CHECK(place->s3->sigv4.region == "us-east-1");
  CHECK(place->s3->section == "backup.tier3");
}

TEST_CASE("a bucket's name alone is enough, with a key") {
  const io::S3Place place = s3_place("s3://tower", Tree::at("/tree"), config("    region: eu-1\n    key_file: /key\n"));
  CHECK(place.url() == "https://s3.eu-1.amazonaws.com/tower");
  CHECK(place.prefix.empty());
  CHECK(refusal("s3://tower", "    region: eu-1\n") == Errc::usage);
  CHECK(refusal("s3://", "    key_file: /key\n") == Errc::usage);
  CHECK(refusal("s3:///a", "    key_file: /key\n") == Errc::usage);
  CHECK(refusal("s3://b c/a", "    key_file: /key\n") == Errc::usage);
  CHECK(refusal("s3://b/a", "    key_file: /key\n    endpoint: 127.0.0.1\n") == Errc::usage);
}

TEST_CASE("a store is opened where its place is usable") {
  const test::TempDir dir;
  const auto store = open_object_store({dir.path(), {}}, dir / "scratch");
  CHECK(store->local_path("a") == dir / "a");
  CHECK_FALSE(fs::exists(dir / "scratch"));
  ObjectPlace place;
  place.s3 = io::S3Place{"backup.tier3", "http://127.0.0.1:1", "tower", "", {"us-east-1", dir / "key"}};
  CHECK_THROWS_AS(open_object_store(place, dir / "scratch"), Error);
  io::replace_file(dir / "key", "id\nsecret\n", 0600);
  place.s3->prefix = "a b";
  CHECK_THROWS_AS(open_object_store(place, dir / "scratch"), Error);
}

}  // namespace reef::tree
