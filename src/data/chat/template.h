// How a conversation becomes text: what stands around questions and answers, and what ends an answer.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

// What follows an answer, so that a trained model stops there.
enum class AnswerEnd : uint8_t {
  document_id,  // the end-of-document id, after every answer
  stop_text,    // the stop text, with which the next question begins; after the last answer the end-of-document id
  text          // the stop text, after every answer; no id
};

struct Template {
  std::string name;
  std::string system;       // first words where a conversation has none; "" = none
  std::string system_form;  // {system} stands for the first words; "" = the words alone
  std::string prompt;       // {query} stands for the question, {{ and }} for braces
  std::string lead;         // in front of an answer
  std::string sep;          // behind the first words, and in front of each question but the first
  std::string stop;         // a model that answers has ended where it writes this
  AnswerEnd end = AnswerEnd::document_id;
  bool clean = false;  // white space around first words and questions goes, and empty lines in them
};

// A name of the table, or a file NAME.json with one object of the table's form. Refuses others with the names that exist.
Template find_template(const std::string& name);
std::vector<std::string> template_names();

// The table: one JSON object a line.
std::string_view shipped_templates();

struct Turn {
  std::string question, answer;
};

// A conversation as templates take it.
struct Dialog {
  std::string system;  // "" = the template's own
  std::vector<Turn> turns;
};

// Question text and answer text of each turn in alternation: all of them together are the conversation as text. Ends are not in them,
// except where the next question text begins with the stop text.
std::vector<std::string> dialog_texts(const Template& form, const Dialog& dialog);

// The text after which a model is to answer the last question; the answer of the last turn is what the answer begins with.
std::string open_prompt(const Template& form, const Dialog& dialog);

}  // namespace rk
