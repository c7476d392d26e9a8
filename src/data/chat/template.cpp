#include "data/chat/template.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "data/text_blocks.h"

namespace rk {
namespace {

using nlohmann::json;

AnswerEnd answer_end_of(const std::string& word, const std::string& where) {
  if (word == "document_id") return AnswerEnd::document_id;
  if (word == "stop_text") return AnswerEnd::stop_text;
  if (word == "text") return AnswerEnd::text;
  fail(cat(where, ": \"end\" is \"", word, "\"; it is document_id, stop_text or text"));
}

Template parse_template(std::string_view line, const std::string& where) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) fail(cat(where, ": a template is a JSON object {\"name\": ..., \"prompt\": \"... {query} ...\", ...}"));
  Template t;
  std::string end = "document_id";
  const std::pair<const char*, std::string*> texts[] = {{"name", &t.name},     {"system", &t.system}, {"system_form", &t.system_form},
                                                        {"prompt", &t.prompt}, {"lead", &t.lead},     {"sep", &t.sep},
                                                        {"stop", &t.stop},     {"end", &end}};
  for (const auto& [key, value] : object.items()) {
    const auto text = std::ranges::find(texts, key, [](const auto& entry) { return std::string_view(entry.first); });
    if (text != std::end(texts) && value.is_string()) {
      *text->second = value.get<std::string>();
    } else if (key == "clean" && value.is_boolean()) {
      t.clean = value;
    } else {
      fail(cat(
          where, ": \"", key, "\": ", value.type_name(),
          " is no field of a template; there are name, system, system_form, prompt, lead, sep, stop, end (texts) and clean (true, false)"));
    }
  }
  t.end = answer_end_of(end, where);
  if (t.prompt.empty()) fail(cat(where, ": a template needs a \"prompt\", in which {query} stands for the question"));
  if (t.end != AnswerEnd::document_id && t.stop.empty()) fail(cat(where, ": answers that end with the stop text need a \"stop\""));
  return t;
}

// Line breaks become one each; white space at both ends goes.
std::string cleaned(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\r\n") continue;
    if (text[i] == '\n' && out.ends_with('\n')) continue;
    out.push_back(text[i]);
  }
  return std::string(strip_white_space(out));
}

std::string filled(std::string_view form, std::string_view name, std::string_view value) {
  std::string out;
  const std::string mark = cat("{", name, "}");
  for (size_t i = 0; i < form.size(); ++i) {
    if (form.substr(i, 2) == "{{" || form.substr(i, 2) == "}}") {
      out.push_back(form[i++]);
    } else if (form.substr(i, mark.size()) == mark) {
      out += value;
      i += mark.size() - 1;
    } else {
      out.push_back(form[i]);
    }
  }
  return out;
}

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) fail(cat(path, ": cannot be read; --template takes a name (rookery train --help) or a file with one template"));
  return text.str();
}

template <class Visit>
void for_each_shipped(Visit&& visit) {
  for_each_line(shipped_templates(),
                [&](std::string_view line, size_t, int64_t) { visit(parse_template(line, "the table of templates")); });
}

}  // namespace

std::vector<std::string> template_names() {
  std::vector<std::string> names;
  for_each_shipped([&](Template t) { names.push_back(std::move(t.name)); });
  return names;
}

Template find_template(const std::string& name) {
  if (name.ends_with(".json")) return parse_template(file_text(name), name);
  Template found;
  std::string known;
  for_each_shipped([&](Template t) {
    known += cat(known.empty() ? "" : ", ", t.name);
    if (t.name == name) found = std::move(t);
  });
  if (found.name.empty()) fail(cat("--template ", name, " is not known; there are ", known, ", or give a file NAME.json"));
  return found;
}

std::vector<std::string> dialog_texts(const Template& form, const Dialog& dialog) {
  const auto own = [&](const std::string& text) { return form.clean ? cleaned(text) : text; };
  std::vector<std::string> texts;
  for (const Turn& turn : dialog.turns) {
    std::string before = texts.empty() ? std::string() : form.sep;
    if (texts.empty()) {
      const std::string system = own(dialog.system.empty() ? form.system : dialog.system);
      if (!system.empty()) before = (form.system_form.empty() ? system : filled(form.system_form, "system", system)) + form.sep;
    }
    texts.push_back(before + filled(form.prompt, "query", own(turn.question)));
    texts.push_back(form.lead + turn.answer);
  }
  return texts;
}

std::string open_prompt(const Template& form, const Dialog& dialog) {
  std::vector<std::string> texts = dialog_texts(form, dialog);
  // trailing white space would be tokens of their own that no trained answer begins behind
  if (!texts.empty() && dialog.turns.back().answer.empty()) texts.back().clear();
  std::string prompt;
  for (const std::string& text : texts) prompt += text;
  return prompt;
}

}  // namespace rk
