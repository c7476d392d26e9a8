// docs/flags.md is the description of the options, written out.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "lint/sources.h"
#include "train/config.h"
#include "train/config_option.h"

namespace rk {
namespace {

using Kind = ConfigOption::Kind;

std::string flag(const std::string& name) { return cat("`--", name, "`"); }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += cat(text.empty() ? "" : ", ", flag(name));
  return text;
}

// Cells of a table must not hold its borders.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

void write_fields(std::string& text, const std::vector<ConfigOption>& options) {
  const RunConfig defaults;
  std::string section;
  for (const ConfigOption& o : options) {
    if (o.kind != Kind::value) continue;
    if (o.section != section) {
      section = o.section;
      text += cat("\n## ", section, "\n\n| option | meaning | accepts | default |\n|---|---|---|---|\n");
    }
    const std::string shown = o.show(defaults);
    text += cat("| ", flag(o.name), o.aliases.empty() ? "" : " (" + joined(o.aliases) + ")", " | ", cell(o.meaning), " | ", cell(o.accepts),
                " | ", shown.empty() ? "empty" : shown, " |\n");
  }
}

void write_translated(std::string& text, const std::vector<ConfigOption>& options) {
  text += "\n## Old spellings\n\n| option | stands for | accepts |\n|---|---|---|\n";
  for (const ConfigOption& o : options)
    if (o.kind == Kind::translated) text += cat("| ", flag(o.name), " | ", cell(o.meaning), " | ", cell(o.accepts), " |\n");
}

// One line for each reason, with all options that share it.
void write_by_reason(std::string& text, const std::vector<ConfigOption>& options, Kind kind) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  for (const ConfigOption& o : options) {
    if (o.kind != kind) continue;
    if (reasons.empty() || reasons.back().first != o.meaning) reasons.push_back({o.meaning, {}});
    reasons.back().second.push_back(o.name);
  }
  for (const auto& [reason, names] : reasons) text += cat("- ", reason, ": ", joined(names), "\n");
}

std::string flags_page() {
  const auto& options = config_options();
  std::string text =
      "# Options of `rookery train`\n\n"
      "Written from the one description in `src/train` that parsing, defaults, help and checks use; a test compares this page with it.\n"
      "Options are written `--name value`, `--name=value`, `--na-me` or `-name`; names in brackets are old names of the same option.\n"
      "A config file (`--config FILE`) holds lines `name = value`; flags overrule it. Files in `configs/` are examples.\n";
  write_fields(text, options);
  write_translated(text, options);
  text += "\n## Accepted without effect\n\nThe run prints a line for each that is given.\n\n";
  write_by_reason(text, options, Kind::no_effect);
  text += "\n## Features that this build does not have\n\nRefused with a sentence, unless the value asks for nothing.\n\n";
  write_by_reason(text, options, Kind::absent);
  return text;
}

TEST(FlagsDoc, IsTheDescriptionOfTheOptions) {
  const std::string expected = flags_page();
  const std::string fresh = cat(ROOKERY_BIN_DIR, "/flags.md");
  std::ofstream(fresh) << expected;
  EXPECT_TRUE(test::read_text("docs/flags.md") == expected) << "docs/flags.md is out of date: cp '" << fresh << "' docs/flags.md";
}

TEST(FlagsDoc, ConfigExamplesAreAccepted) {
  int n_examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ROOKERY_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".toml") continue;
    ++n_examples;
    RunConfig config = parse_config({"--config", entry.path().string(), "--data_file", "tokens"});
    EXPECT_NO_THROW(validate(config, 1)) << entry.path();
    EXPECT_GT(config.origins.size(), 5u) << entry.path();
  }
  EXPECT_GT(n_examples, 3);
}

}  // namespace
}  // namespace rk
