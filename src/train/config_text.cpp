// What the description of the options says to people: help, and the printed record of a run.
#include <algorithm>

#include "base/error.h"
#include "train/config.h"
#include "train/config_option.h"

namespace rk {
namespace {

using Kind = ConfigOption::Kind;

std::string quoted(const ConfigOption& option, const std::string& value) { return option.quoted ? cat('"', value, '"') : value; }

// `text` broken into lines of at most `width` characters, each behind `indent` blanks.
std::string wrapped(const std::string& text, size_t indent, size_t width) {
  std::string lines(indent, ' ');
  size_t column = indent;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const size_t length = end - at;
    if (column > indent && column + 1 + length > width) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += text.substr(at, length);
    column += length;
    at = end + 1;
  }
  return lines + "\n";
}

std::string entry(const ConfigOption& option, const RunConfig& defaults) {
  std::string head = "  --" + option.name;
  for (const std::string& alias : option.aliases) head += ", --" + alias;
  std::string facts = option.meaning;
  if (option.kind == Kind::value) facts += cat(" [", option.accepts, "; default ", quoted(option, option.show(defaults)), "]");
  if (option.kind == Kind::translated) facts += cat(" [", option.accepts, "]");
  return head + "\n" + wrapped(facts, 6, 100);
}

// Options that share a reason, in one paragraph.
std::string grouped_entry(const std::vector<const ConfigOption*>& options) {
  std::string names;
  for (const ConfigOption* o : options) names += cat(names.empty() ? "" : ", ", "--", o->name);
  for (const ConfigOption* o : options)
    if (!o->harmless.empty()) names += cat("; --", o->name, " may be ", o->accepts);
  return "  " + options.front()->meaning + "\n" + wrapped(names, 6, 100);
}

const char* introduction(const std::string& section) {
  if (section == "Old spellings") return "these stand for other options";
  if (section == "Accepted without effect") return "the run prints a line for each that is given";
  if (section == "Features that this build does not have") return "refused, unless the value asks for nothing";
  return nullptr;
}

}  // namespace

HelpRequest help_request(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") return HelpRequest::common;
    if (word == "--help-all" || word == "--help_all") return HelpRequest::all;
  }
  return HelpRequest::none;
}

std::string help_text(HelpRequest which) {
  const RunConfig defaults;
  std::string text =
      "rookery train [--OPTION VALUE]... trains a model.\n\n"
      "Options are written --name value, --name=value, --na-me or -name; old names are listed behind the new one.\n"
      "Under mpirun or srun every rank takes the same options; without, --devices K starts K ranks on this host.\n"
      "Stop with Ctrl+C, rookery stop PROJ_DIR or kill -USR1: the state is saved and the exit code is 75.\n";
  if (which == HelpRequest::common) text += "This list holds the common options; --help-all lists every one.\n";
  text += "\nConfig files\n  --config\n" + wrapped("a file of lines `key = value` with the names below; flags overrule it", 6, 100);
  std::string section;
  const auto& options = config_options();
  for (size_t i = 0; i < options.size(); ++i) {
    const ConfigOption& o = options[i];
    if (which == HelpRequest::common && !o.common) continue;
    if (o.section != section) {
      section = o.section;
      const char* more = introduction(section);
      text += cat("\n", section, more ? cat(" (", more, ")") : "", "\n");
    }
    if (o.kind == Kind::value || o.kind == Kind::translated) {
      text += entry(o, defaults);
      continue;
    }
    std::vector<const ConfigOption*> alike{&o};
    while (i + 1 < options.size() && options[i + 1].meaning == o.meaning) alike.push_back(&options[++i]);
    text += grouped_entry(alike);
  }
  return text;
}

std::string config_text(const RunConfig& config) {
  std::string text;
  for (const ConfigOption& o : config_options()) {
    if (o.kind != Kind::value) continue;
    const auto origin = config.origins.find(o.name);
    text += cat(o.name, " = ", quoted(o, o.show(config)), "  # ", origin == config.origins.end() ? "default" : origin->second, "\n");
  }
  return text;
}

}  // namespace rk
