// object_store_peer PLACE.txt VERB ARGUMENT...: one call of an ObjectStore, or of the Archives in it, for
// object_store.py.
//
// PLACE.txt has a line each: endpoint, bucket, prefix, key file, scratch folder, bytes of a part, "back" to read files
// back. Verbs: list PREFIX, find KEY, put KEY TEXT, put-file KEY FILE, get KEY, get-file KEY FILE SHA256,
// read KEY OFFSET COUNT, remove KEY, clean-up; of Archives: backup FOLDER NOW [RECIPIENT], snapshots, verify, prune
// LAST, restore ID FOLDER [IDENTITY]. Prints what came, or the error and its hint on stderr; ends as a command of reef
// would.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "reef/backup/archives.h"
#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/s3_store.h"
#include "support/folder_capture.h"

namespace {

using namespace reef;

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) std::abort();
}

struct Opened {
  std::shared_ptr<io::ObjectStore> store;
  std::string scratch;
};

Opened open(const std::string& file) {
  std::ifstream lines(file);
  std::vector<std::string> line(7);
  for (std::string& text : line) std::getline(lines, text);
  io::S3Place place;
  place.section = "backup.tier3";
  place.endpoint = line[0];
  place.bucket = line[1];
  place.prefix = line[2];
  place.sigv4 = {"us-east-1", line[3]};
  io::S3Options options;
  options.part_bytes = std::stoull(line[5]);
  options.reads_back = line[6] == "back";
  options.attempts = 3;
  return {std::make_shared<io::S3Store>(place, line[4], options), line[4]};
}

/// False for a verb that is none of Archives.
bool run_archives(const Opened& opened, const std::string& verb, const std::vector<std::string>& words) {
  backup::ArchivesOptions options;
  options.store = opened.store;
  options.scratch = opened.scratch;
  options.threads = 2;
  if (verb == "backup") {
    if (words.size() > 2) options.recipients = {words[2]};
    backup::Archives archives(options);
    const auto writer = archives.begin(parse_time(words.at(1)), no_progress());
    test::FolderCapture(words.at(0), *writer).run();
    print(writer->commit().id);
  } else if (verb == "snapshots") {
    for (const auto& snapshot : backup::Archives(options).list())
      print(snapshot.id + (snapshot.damaged ? " damaged" : snapshot.verified ? " verified" : "") + "\n");
  } else if (verb == "verify") {
    for (const auto& fault : backup::Archives(options).verify({}, no_progress()).faults)
      print(fault.file + ": " + fault.what + "\n");
  } else if (verb == "prune") {
    const auto retention = backup::Retention::parse({"last " + words.at(0)});
    for (const auto& snapshot : backup::Archives(options).prune(retention, now(), false).removed)
      print(snapshot.id + "\n");
  } else if (verb == "restore") {
    if (words.size() > 2) options.identity = words[2];
    backup::TargetFolder target(words.at(1));
    backup::Archives(options).read(words.at(0), {}, target, no_progress());
    target.finish();
  } else {
    return false;
  }
  return true;
}

void run(io::ObjectStore& store, const std::string& verb, const std::vector<std::string>& words) {
  if (verb == "list") {
    for (const auto& object : store.list(words.at(0))) print(object.key + " " + std::to_string(object.bytes) + "\n");
  } else if (verb == "find") {
    const auto bytes = store.find(words.at(0));
    print(bytes ? std::to_string(*bytes) : "absent");
  } else if (verb == "put") {
    store.put(words.at(0), words.at(1));
  } else if (verb == "put-file") {
    store.put_file(words.at(0), words.at(1), io::sha256_file(words.at(1)), no_progress());
  } else if (verb == "get") {
    print(store.get(words.at(0), 1 << 20));
  } else if (verb == "get-file") {
    store.get_file(words.at(0), words.at(1), io::digest_from_hex(words.at(2)), no_progress());
  } else if (verb == "read") {
    store.read(words.at(0), std::stoull(words.at(1)), std::stoull(words.at(2)), [](auto piece) {
      print({reinterpret_cast<const char*>(piece.data()), piece.size()});
    });
  } else if (verb == "remove") {
    store.remove(words.at(0));
  } else if (verb == "clean-up") {
    store.clean_up();
  } else {
    throw Error(Errc::usage, "no such verb: " + verb);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Opened opened = open(argv[1]);
    const std::vector<std::string> words(argv + 3, argv + argc);
    if (!run_archives(opened, argv[2], words)) run(*opened.store, argv[2], words);
    return 0;
  } catch (const std::exception&) {
    const Error error = current_error();
    std::fprintf(stderr, "%s\nhint: %s\n", error.what(), error.hint().c_str());
    return exit_status(error.code());
  }
}
