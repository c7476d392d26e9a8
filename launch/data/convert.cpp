// rookery data convert: conversations from one form of file to another.
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/log.h"
#include "data/chat/convert.h"
#include "launch/data/commands.h"
#include "launch/words.h"

namespace rk {
namespace {

std::string described(ItemForm form, bool array) {
  return cat(name_of(form), array ? " in a JSON array" : form == ItemForm::csv ? " rows" : " lines");
}

void run_convert(const ConvertArgs& args) {
  const ConvertReport done = convert_conversations(args);
  for (const std::string& warning : done.warnings) log_warning(warning);
  log_info(cat(args.input, ": ", done.items, " items, ", described(done.from, done.from_array), args.from ? "" : " (by the first item)"));
  log_info(cat(args.output, ": ", done.written, " items, ", described(done.to, done.to_array),
               done.skipped > 0 ? cat("; ", done.skipped, " items of the input were left out") : ""));
}

}  // namespace

int data_convert_main(int argc, char** argv) {
  CLI::App app{"Conversations from one form of file to another", "rookery data convert"};
  ConvertArgs args;
  std::string from, to, on_error = "stop";
  std::vector<std::string> fields;
  app.add_option("IN", args.input, "a JSON object a line, a JSON array of them, or rows QUESTION tab ANSWER; - = standard input")
      ->required();
  app.add_option("OUT", args.output, ".json = a JSON array, .csv or .tsv = rows, others a line an item")->required();
  app.add_option("--from", from, "sharegpt, alpaca, qa, rwkv, csv, items (any objects); default: by the first item");
  app.add_option("--to", to, "the same; rwkv = {\"text\": \"User: ...\"}, items = as they are; default: sharegpt");
  app.add_option("--fields", fields, "names of question and answer of form qa; default: input output")->expected(2);
  app.add_flag("--split_turns", args.split_turns,
               "forms of one turn: an item of each question and its answer, without what was said before");
  app.add_flag("--drop_system", args.drop_system, "forms without a system prompt: leave it out");
  app.add_option("--on_error", on_error, "an item that cannot be converted ends the work (stop), or is left out and counted (skip)")
      ->check(CLI::IsMember({"stop", "skip"}))
      ->capture_default_str();
  if (!parse_words(app, argc, argv)) return static_cast<int>(ExitCode::done);
  if (!from.empty()) args.from = item_form_named(from, "--from");
  if (!to.empty()) args.to = item_form_named(to, "--to");
  if (!fields.empty()) args.question = fields[0], args.answer = fields[1];
  args.skip_errors = on_error == "skip";
  run_convert(args);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
