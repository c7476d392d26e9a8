#include "train/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "train/config_option.h"
#include "train/dialects.h"
#include "train/paste.h"

namespace rk {
namespace {

// A value as it was given, and how to name it in a sentence.
struct Given {
  const ConfigOption* option = nullptr;
  std::string spelling, value;
  std::string file;   // empty: a flag
  std::string said;   // "--zero 4", or "run.toml: zero = 4"
  bool weak = false;  // from a translation that gives way to the option itself
};

std::string said_as(const std::string& file, const std::string& spelling, const std::string& value) {
  if (!file.empty()) return cat(file, ": ", spelling, " = ", value.empty() ? "\"\"" : value);
  return cat("--", spelling, " ", value.empty() ? "\"\"" : value);
}

Given make_given(const ConfigOption& option, const std::string& spelling, const std::string& value, const std::string& file) {
  Given g;
  g.option = &option;
  g.spelling = spelling;
  g.value = value;
  g.file = file;
  g.said = said_as(file, spelling, value);
  return g;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += cat(text.empty() ? "" : " ", part);
  return text;
}

void refuse_unknown_word(const std::string& word) {
  if (!word.starts_with('-'))
    fail(cat("the word '", word, "' belongs to no option; a value with blanks needs quotes, and options begin with --"));
  const std::string name = plain_spelling(word.substr(0, word.find('=')));
  fail(cat("--", name, " is not an option of rookery train; the nearest one is --", nearest_spelling(name),
           " (rookery train --help-all lists them)"));
}

// --config, which names files and is no field of its own.
void add_config_flag(CLI::App& app, std::vector<std::string>& files) {
  app.add_option("--config",
                 [&files](const CLI::results_t& values) {
                   files.push_back(values.front());
                   return true;
                 })
      ->expected(1)
      ->trigger_on_parse();
}

void add_flag(CLI::App& app, const ConfigOption& option, const std::string& spelling, std::vector<Given>& given) {
  CLI::Option* flag = app.add_option("--" + spelling, [&option, spelling, &given](const CLI::results_t& values) {
    const std::string value = joined(values);
    if (!option.bare && value.starts_with("--") && find_option(plain_spelling(value)))
      fail(cat("--", spelling, " has no value; it takes ", option.accepts));
    given.push_back(make_given(option, spelling, value, ""));
    return true;
  });
  if (option.list) {
    flag->expected(0, -1)->allow_extra_args();
  } else {
    flag->expected(option.bare ? 0 : 1, 1);
  }
  flag->default_str("1")->trigger_on_parse();
}

struct Flags {
  std::vector<Given> given;  // in the order of the command line
  std::vector<std::string> config_files;
};

Flags read_flags(std::vector<std::string> words) {
  Flags flags;
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  add_config_flag(app, flags.config_files);
  for (const ConfigOption& option : config_options()) {
    add_flag(app, option, option.name, flags.given);
    for (const std::string& alias : option.aliases) add_flag(app, option, alias, flags.given);
  }
  std::reverse(words.begin(), words.end());  // CLI11 takes words from the back
  try {
    app.parse(words);
  } catch (const CLI::ParseError& e) {
    fail(cat("the command line ends after an option that needs a value (", e.what(), ")"));
  }
  if (!app.remaining().empty()) refuse_unknown_word(app.remaining().front());
  return flags;
}

std::vector<Given> read_file(const std::string& path) {
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_file(path);
  } catch (const CLI::Error&) {
    fail(cat("--config ", path, ": cannot be read; give a file of lines `key = value`"));
  }
  std::vector<Given> given;
  for (const CLI::ConfigItem& item : items) {
    if (!item.parents.empty())
      fail(cat(path, ": the section [", item.parents.front(), "] is not accepted; write flat lines `key = value`"));
    const std::string name = plain_spelling(item.name);
    const ConfigOption* option = find_option(name);
    if (!option) fail(cat(path, ": ", item.name, " is not an option; the nearest one is ", nearest_spelling(name)));
    const std::string value = joined(item.inputs);
    if (value.starts_with('"') || value.starts_with('\''))
      fail(cat(path, ": the value of ", item.name, " has a quote that does not end, or a # between its quotes"));
    if (item.inputs.size() > 1 && !option->list)
      fail(cat(path, ": ", item.name, " has ", item.inputs.size(), " values (", value,
               "); give one, in quotes where it has blanks or commas"));
    given.push_back(make_given(*option, name, value, path));
  }
  return given;
}

bool is_harmless(const ConfigOption& option, const std::string& value) {
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::find(option.harmless.begin(), option.harmless.end(), lower) != option.harmless.end();
}

// Everything asked of features that do not exist, in one sentence.
void refuse_absent(const std::vector<Given>& given) {
  std::string sentence;
  std::string feature;
  for (const Given& g : given) {
    if (g.option->kind != ConfigOption::Kind::absent || is_harmless(*g.option, g.value)) continue;
    if (g.option->meaning == feature) {
      sentence += cat(", ", g.said);
    } else {
      sentence += cat(sentence.empty() ? "" : "; ", g.option->meaning, ": ", g.said);
    }
    feature = g.option->meaning;
  }
  if (!sentence.empty()) fail(cat("this build has no such feature (", sentence, ")"));
}

// Translated options become the options that they stand for.
std::vector<Given> translated(const std::vector<Given>& given) {
  std::vector<Given> plain;
  for (const Given& g : given) {
    ConfigOption::Meaning meaning;
    if (g.option->translate && !g.option->translate(g.value, meaning)) fail(cat(g.said, " is not accepted; it takes ", g.option->accepts));
    if (g.option->kind != ConfigOption::Kind::translated && meaning.empty()) {
      plain.push_back(g);
      continue;
    }
    for (const auto& [name, value] : meaning) {
      Given stands_for = g;
      stands_for.option = find_option(name);
      stands_for.value = value;
      stands_for.weak = g.option->name != "strategy";
      plain.push_back(stands_for);
    }
  }
  return plain;
}

// Two spellings of one option in one place must not contradict each other.
void refuse_contradictions(const std::vector<Given>& given) {
  for (size_t i = 0; i < given.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const Given &a = given[j], &b = given[i];
      if (a.option != b.option || a.spelling == b.spelling || a.file != b.file || a.value == b.value) continue;
      if (a.weak || b.weak || a.option->kind != ConfigOption::Kind::value) continue;
      fail(cat(a.said, " and ", b.said, " contradict each other; give one of them"));
    }
}

void apply(RunConfig& config, const Given& g) {
  if (g.option->kind == ConfigOption::Kind::no_effect) {
    config.notes.push_back(cat(g.said, " has no effect: ", g.option->meaning));
    return;
  }
  if (g.option->kind != ConfigOption::Kind::value) return;
  if (!g.option->set(config, g.value)) fail(cat(g.said, " is not accepted; it takes ", g.option->accepts));
  config.origins[g.option->name] = g.file.empty() ? "flag" : "file";
}

void apply_dialect(RunConfig& config, const std::vector<Given>& given) {
  std::vector<GivenWord> words;
  int train_stage = 0;
  for (const Given& g : given) {
    words.push_back({g.spelling, g.value});
    RunConfig probe;
    if (g.option->name == "train_stage" && g.option->set(probe, g.value)) train_stage = probe.train_stage;
    if (g.option->name == "dialect") {
      apply(config, g);
      words.clear();
    }
  }
  const bool chosen = config.origins.contains("dialect");
  const DialectChoice choice = choose_dialect(words);
  if (!chosen) config.dialect = choice.name;
  const Dialect& dialect = dialect_named(config.dialect);
  std::string defaults;
  const auto set = [&](const char* name, const char* value) {
    require(find_option(name)->set(config, value), "a dialect's defaults are accepted values");
    defaults += cat(defaults.empty() ? "" : ", ", name, " ", value);
  };
  for (const auto& [name, value] : dialect.defaults) set(name, value);
  if (train_stage == 0)
    for (const auto& [name, value] : dialect.untrained) set(name, value);
  const std::string because = chosen ? "by --dialect" : choice.because.empty() ? "nothing given says otherwise" : "by --" + choice.because;
  config.notes.push_back(
      cat("defaults of ", dialect.trainer, " (dialect ", dialect.name, ", ", because, ")", defaults.empty() ? "" : ": " + defaults));
}

}  // namespace

RunConfig parse_config(const std::vector<std::string>& words) {
  RunConfig config;
  PastedLine line = clean_pasted_line(words);
  config.notes = std::move(line.notes);
  for (const std::string& word : words) config.command_line += cat(config.command_line.empty() ? "" : " ", word);

  Flags flags = read_flags(line.words);
  std::vector<Given> given;
  for (const std::string& file : flags.config_files)
    for (Given& g : read_file(file)) given.push_back(std::move(g));
  for (Given& g : flags.given) given.push_back(std::move(g));

  apply_dialect(config, given);
  given = translated(given);
  refuse_absent(given);
  refuse_contradictions(given);
  std::stable_partition(given.begin(), given.end(), [](const Given& g) { return g.weak; });
  for (const Given& g : given) apply(config, g);
  return config;
}

}  // namespace rk
