#include "reef/model/verify.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "commands.h"
#include "reef/tree/init.h"

namespace reef::tool {
namespace {

/// "5%" or ".05" as a share.
double parse_share(const std::string& text) {
  std::string_view digits = text;
  const bool is_percent = digits.ends_with('%');
  if (is_percent) digits.remove_suffix(1);
  double share = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), share, std::chars_format::fixed);
  if (is_percent) share /= 100;
  if (error != std::errc{} || end != digits.data() + digits.size() || !(share > 0 && share <= 1))
    throw Error(Errc::usage, fmt::format("--sample is '{}', no share above 0 and up to 100%", text),
                "such as --sample 5%");
  return share;
}

int verify(cli::Session& session, const model::VerifyOptions& options) {
  if (options.sample < 1 && !options.tensors.empty())
    throw Error(Errc::usage, "--sample and --tensor exclude each other", "leave one of them out");
  const tree::Tree tree = open_tree(session, true);  // it notes how far it came
  model::VerifyOptions run = options;
  run.threads = cli::threads_or_all(options.threads);
  if (run.names.empty()) run.bindings = model::read_bindings(tree::Config::load(tree, {"personas"}));
  const model::VerifyReport report = model::verify_models(tree, run, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  if (report.faults() == 0) return 0;
  const std::string more = report.faults() > 1 ? fmt::format(" (and {} more)", report.faults() - 1) : "";
  throw Error(Errc::corrupt, report.first_fault() + more, report.hint());
}

}  // namespace

void add_verify(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::VerifyOptions>();
  CLI::App* verb = cli::add_verb(app, "verify", "Compare models with their manifests, byte by byte",
                                 "reef-model verify all-MiniLM-L6-v2");
  verb->add_option("name", options->names, "Models (default: all)")->type_name("NAME");
  verb->add_option_function<std::string>(
          "--sample", [options](const std::string& text) { options->sample = parse_share(text); },
          "Read a random share of the chunks (5%)")
      ->type_name("SHARE");
  verb->add_option("--tensor", options->tensors, "Read only what holds this tensor; may be repeated")
      ->type_name("TENSOR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--key", options->key, "Manifests must be signed by this Ed25519 key (PEM)")->type_name("FILE");
  verb->add_flag("--restart", options->restart, "Do not go on where an interrupted run stopped");
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return verify(session, *options); }); });
}

}  // namespace reef::tool
