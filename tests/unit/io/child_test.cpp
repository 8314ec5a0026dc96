#include "reef/io/child.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/signal_soon.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLimit{60'000};

std::vector<std::string> shell(const std::string& script) { return {"sh", "-c", script}; }

std::string ask(Child& child, std::string_view question, std::size_t bytes, milliseconds limit = kLimit) {
  std::string answer(bytes, '\0');
  answer.resize(child.exchange(question, answer, limit));
  return answer;
}

TEST_CASE("a child answers question after question") {
  Child child({"cat"});
  for (const std::string question : {"one", "", "another"}) CHECK(ask(child, question, question.size()) == question);
  CHECK(child.finish(kLimit) == 0);
  CHECK(child.error_text().empty());
}

TEST_CASE("questions and answers larger than the pipes do not block each other") {
  Child child({"cat"});
  std::string question(8 << 20, '\0');
  for (std::size_t i = 0; i < question.size(); ++i) question[i] = static_cast<char>(i * 2654435761u >> 13);
  CHECK(ask(child, question, question.size()) == question);
  CHECK(child.finish(kLimit) == 0);
}

TEST_CASE("read_some gives what is there, then the end") {
  Child child(shell("echo one; read line; echo two; exit 7"));
  std::array<char, 100> bytes{};
  CHECK(std::string(bytes.data(), child.read_some(bytes, kLimit)) == "one\n");
  CHECK(child.exchange("go\n", {}, kLimit) == 0);
  CHECK(std::string(bytes.data(), child.read_some(bytes, kLimit)) == "two\n");
  CHECK(child.read_some(bytes, kLimit) == 0);
  CHECK(child.read_some(bytes, kLimit) == 0);
  CHECK(child.finish(kLimit) == 7);
}

TEST_CASE("a child is fed more than pipes hold, while it writes more than it is fed, and then to its end") {
  Child child(shell("while read -r line; do echo \"$line $line $line\"; done; echo end"));
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "line " + std::to_string(i) + "\n";
  std::string answer;
  const auto take = [&](std::string_view got) { answer += got; };
  CHECK(child.feed(text, take, kLimit));
  CHECK(child.feed("", take, kLimit));
  child.close_input();
  std::array<char, 1000> piece{};
  while (const std::size_t got = child.read_some(piece, kLimit)) answer.append(piece.data(), got);
  CHECK(child.finish(kLimit) == 0);
  CHECK(answer.starts_with("line 0 line 0 line 0\n"));
  CHECK(answer.ends_with("line 39999 line 39999 line 39999\nend\n"));
  CHECK(answer.size() == 3 * text.size() + 4);
}

TEST_CASE("a child that ends before it has all that it is fed") {
  Child child(shell("exec >&-; echo no more >&2; exit 3"));
  CHECK_FALSE(child.feed(
      std::string(10'000'000, 'x'), [](std::string_view) {}, kLimit));
  CHECK(child.finish(kLimit) == 3);
  CHECK(child.error_text() == "no more\n");
}

TEST_CASE("a child that ends gives a short answer, its status and its last words, and no SIGPIPE") {
  struct sigaction before {};
  ::sigaction(SIGPIPE, nullptr, &before);
  REQUIRE((before.sa_handler == SIG_DFL));  // or the test would prove nothing
  Child child(shell("exec <&-; yes complaint | head -c 100000 >&2; printf abc; echo 'last words' >&2; kill -SEGV $$"));
  CHECK(ask(child, std::string(1 << 20, 'x'), 10) == "abc");
  CHECK(ask(child, "more", 10).empty());
  CHECK(child.finish(kLimit) == 128 + SIGSEGV);
  CHECK(child.error_text().size() == 4096);
  CHECK(child.error_text().ends_with("complaint\nlast words\n"));
}

TEST_CASE("a child that says nothing is given up at the limit, and ended with all that it started") {
  const test::TempDir dir;
  const auto start = steady_clock::now();
  {
    Child child(shell("sleep 60 & echo $! > " + (dir / "pid").string() + "; echo ready; wait"));
    CHECK(ask(child, "", 6) == "ready\n");
    CHECK_THROWS_WITH_AS(ask(child, "?", 1, milliseconds(50)), "sh did not answer within 50 ms", Error);
  }
  CHECK(test::ends(dir / "pid"));
  {
    Child child(shell("trap '' TERM; sleep 60 & echo $! > " + (dir / "pid").string() + "; echo ready; wait"));
    CHECK(ask(child, "", 6) == "ready\n");
    CHECK(child.finish(milliseconds(50)) == 128 + SIGKILL);
  }
  CHECK(test::ends(dir / "pid"));
  CHECK(steady_clock::now() - start < milliseconds(30'000));
}

TEST_CASE("an interrupt ends a wait at once") {
  const auto start = steady_clock::now();
  const test::SignalSoon handler(milliseconds(50));
  Child child({"sleep", "60"});
  CHECK_THROWS_WITH_AS(ask(child, "", 1, milliseconds(0)), "interrupted", Error);
  CHECK_THROWS_AS(Child({"cat"}), Error);  // nothing is begun while a signal is pending
  CHECK(steady_clock::now() - start < milliseconds(30'000));
}

TEST_CASE("a child gets its three descriptors and no other, so the end of one is not kept open by the next") {
  const UniqueFd leaked(::dup(0));  // as a library may have opened it
  Child first({"cat"});
  Child second({"ls", "/proc/self/fd"});
  CHECK(ask(second, "", 100) == "0\n1\n2\n3\n");  // 3 is the folder that ls reads
  Child third({"cat"});
  CHECK(first.finish(kLimit) == 0);  // though the third is running
  CHECK(ask(third, "still there", 11) == "still there");
}

TEST_CASE("a child may outlive the thread that started it") {
  std::unique_ptr<Child> child;
  pid_t thread = 0;
  std::thread([&] {
    thread = ::gettid();
    child = std::make_unique<Child>(shell("exec cat"), ChildOptions{{}, false});
  }).join();
  REQUIRE(test::wait_until([&] { return !fs::exists("/proc/self/task/" + std::to_string(thread)); }));
  CHECK(ask(*child, "here", 4) == "here");
  CHECK(child->finish(kLimit) == 0);
  std::thread([&] { child = std::make_unique<Child>(shell("exec cat")); }).join();
  CHECK(ask(*child, "here", 4).empty());
  CHECK(child->finish(kLimit) == 128 + SIGKILL);
}

TEST_CASE("a child ends with the process, even one that its threads share") {
  const test::TempDir dir;
  const pid_t parent = test::start_child([&] {
    Child child(shell("echo $$ > " + (dir / "new").string() + "; mv " + (dir / "new").string() + " " +
                      (dir / "pid").string() + "; exec cat"),
                ChildOptions{{}, false});
    ask(child, "", 1, milliseconds(0));
    return 0;
  });
  REQUIRE(test::wait_until([&] { return fs::exists(dir / "pid"); }));
  ::kill(parent, SIGKILL);
  test::wait_child(parent);
  CHECK(test::ends(dir / "pid"));
}

TEST_CASE("programs that are not there") {
  const test::TempDir dir;
  CHECK_THROWS_WITH_AS(Child({"reef-no-such-program"}), doctest::Contains("no such program"), Error);
  CHECK_THROWS_AS(Child({(dir / "absent").string()}), Error);
  CHECK_THROWS_AS(Child({}), Error);
}

}  // namespace
}  // namespace reef::io
