#include "data/tokenize_journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/staged_file.h"

namespace rk {
namespace {

using nlohmann::json;

// All that decides the result, except the contents of the inputs.
std::string request_of(const TokenizeArgs& args) {
  std::string text = cat("version 1; ", args.request, "; ", args.tokenizer->name(), " ", args.tokenizer->vocab_size(), "; ", args.text_key,
                         args.paragraphs ? ", paragraphs" : "", args.drop_empty ? ", no empty texts" : "",
                         args.end_documents ? ", ended" : "", args.skip_errors ? ", errors skipped" : "", "; inputs");
  if (args.dtype) text += cat("; ", name_of(*args.dtype));
  for (const std::string& input : args.inputs) text += " " + input;
  return text;
}

json json_of(const JournalEntry& entry) {
  json runs = json::array();
  for (const BinidxProgress::Run& run : entry.written.runs) runs.push_back({run.document, run.sequence});
  const BinidxProgress& w = entry.written;
  const TokenizeReport& r = entry.report;
  return {{"complete", entry.complete},
          {"place", {entry.place.file, entry.place.offset, entry.lines, entry.dropping}},
          {"written", {w.n_tokens, w.open_tokens, w.n_sequences, w.n_documents, w.document_tokens, w.document_sequences}},
          {"runs", runs},
          {"counts", {r.input_bytes, r.empty, r.left_out}},
          {"left_out", r.left_out_named},
          {"warnings", r.warnings}};
}

JournalEntry entry_of(const json& j) {
  JournalEntry entry;
  entry.complete = j.at("complete");
  const json &place = j.at("place"), &written = j.at("written"), &counts = j.at("counts");
  entry.place = {place.at(0), place.at(1)};
  entry.lines = place.at(2);
  entry.dropping = place.at(3);
  entry.written = {written.at(0), written.at(1), written.at(2), written.at(3), written.at(4), written.at(5), {}};
  for (const json& run : j.at("runs")) entry.written.runs.push_back({run.at(0), run.at(1)});
  if (entry.written.runs.empty()) throw std::out_of_range("no runs");
  entry.report.input_bytes = counts.at(0);
  entry.report.empty = counts.at(1);
  entry.report.left_out = counts.at(2);
  entry.report.left_out_named = j.at("left_out");
  entry.report.warnings = j.at("warnings");
  return entry;
}

}  // namespace

Journal::Journal(const TokenizeArgs& args, const std::string& prefix, const std::vector<TextFile>& files)
    : path_(prefix + ".journal"), request_(request_of(args)) {
  for (const TextFile& file : files) {
    struct stat status {};
    if (file.path == "-") {
      keeps_ = false;
    } else if (stat(file.path.c_str(), &status) == 0) {
      inputs_.push_back({file.path, status.st_size, status.st_mtim.tv_sec * int64_t{1000000000} + status.st_mtim.tv_nsec});
      input_bytes_ += status.st_size;
    }
  }
  if (!keeps_) input_bytes_ = 0;
}

Journal::~Journal() {
  if (ours_) unlink(path_.c_str());
}

void Journal::take_over(bool anew) {
  ours_ = true;
  if (anew) unlink(path_.c_str());
}

std::optional<JournalEntry> Journal::load(const std::function<void(const std::string&)>& say) const {
  std::ifstream in(path_, std::ios::binary);
  if (!in) return std::nullopt;
  const auto anew = [&](const std::string& why) {
    if (say) say(cat(path_, ": ", why, "; it starts anew"));
    return std::nullopt;
  };
  if (!keeps_) return anew("standard input cannot be gone on with");
  try {
    const json j = json::parse(in);
    if (j.at("request") != request_) return anew("the run that was ended had other options or inputs");
    const json& inputs = j.at("inputs");
    for (size_t i = 0; i < std::max(inputs.size(), inputs_.size()); ++i) {
      if (i >= inputs.size() || i >= inputs_.size()) return anew("there are other input files now");
      const Input then{inputs[i].at(0), inputs[i].at(1), inputs[i].at(2)};
      if (!(then == inputs_[i])) return anew(cat(inputs_[i].path, " has changed since the run that was ended"));
    }
    return entry_of(j.at("entry"));
  } catch (const std::exception&) {  // of the JSON library
    return anew("the journal is damaged");
  }
}

void Journal::save(const JournalEntry& entry) const {
  if (!keeps_) return;
  json inputs = json::array();
  for (const Input& input : inputs_) inputs.push_back({input.path, input.bytes, input.modified_ns});
  const json j{{"request", request_}, {"inputs", inputs}, {"entry", json_of(entry)}};
  const std::string text = j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  StagedFile file(path_);
  file.write(text.data(), text.size());
  file.finish();
  file.commit();
}

}  // namespace rk
