// rookery data preprocess_data: the form of gpt-neox's and json2binidx's tools/preprocess_data.py, and its files (golden data §3.2).
#include <CLI/CLI.hpp>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx_writer.h"
#include "launch/data/commands.h"
#include "launch/data/text_to_tokens.h"
#include "launch/words.h"

namespace rk {
namespace {

struct PreprocessOptions {
  TokenizeOptions tokenize;
  std::string input, output_prefix, vocab, dataset_impl = "mmap", tokenizer_type, ftfy = "false", merge_file;
  std::vector<std::string> jsonl_keys{"text"};
  bool append_eod = false;
  std::string log_interval, num_docs;
};

bool is_off(const std::string& value) { return value == "false" || value == "False" || value == "0" || value == "off" || value == "no"; }

void check(const PreprocessOptions& o) {
  if (o.dataset_impl != "mmap") fail(cat("--dataset-impl ", o.dataset_impl, " is not supported; mmap is, which --data_type binidx reads"));
  if (!is_off(o.ftfy)) fail("--ftfy is not supported: texts are encoded as they are; repair them before, or leave it out");
  if (!o.merge_file.empty())
    fail("--merge-file is not supported: merges are taken from a tokenizer.json, with --tokenizer-type HFTokenizer");
  if (!o.tokenizer_type.empty() && o.tokenizer_type != "RWKVTokenizer" && o.tokenizer_type != "HFTokenizer")
    fail(cat("--tokenizer-type ", o.tokenizer_type, " is not supported; RWKVTokenizer and HFTokenizer are"));
}

void run(PreprocessOptions o) {
  check(o);
  TokenizeOptions& t = o.tokenize;
  TokenizeArgs& args = t.args;
  const bool world = o.tokenizer_type.empty() ? default_tokenizer() == "world" : o.tokenizer_type == "RWKVTokenizer";
  t.tokenizer = !o.vocab.empty() ? o.vocab : world ? "world" : "neox";
  std::stringstream inputs(o.input);
  for (std::string one; std::getline(inputs, one, ',');) args.inputs.push_back(one);
  args.standard_input = TextKind::lines;
  args.paragraphs = true;
  args.drop_empty = true;
  args.end_documents = o.append_eod;
  args.dtype = preprocessed_dtype(make_tokenizer(t.tokenizer)->vocab_size());
  if (!o.log_interval.empty() || !o.num_docs.empty())
    log_info("--log-interval and --num-docs change nothing here: progress is shown by time");
  for (const std::string& key : o.jsonl_keys) {
    if (key != "text")
      log_warning(cat("--jsonl-keys ", key,
                      ": the files of this name hold \"text\", too, as those of the tool of this form do; "
                      "rookery data tokenize --text_key ",
                      key, " encodes that key"));
    args.prefix = cat(o.output_prefix, "_", key, "_document");
    text_to_tokens(t);
  }
}

}  // namespace

int data_preprocess_data_main(int argc, char** argv) {
  CLI::App app{"preprocess_data.py's form: jsonl to PREFIX_text_document.bin and .idx", "rookery data preprocess_data"};
  PreprocessOptions o;
  app.add_option("--input", o.input, ".jsonl files, with commas between")->required();
  app.add_option("--output_prefix", o.output_prefix, "PREFIX")->required();
  app.add_option("--vocab,--vocab_file", o.vocab, "vocabulary file or tokenizer.json; default: those inside this program");
  app.add_option("--tokenizer_type", o.tokenizer_type,
                 "RWKVTokenizer (world) or HFTokenizer (neox); default: RWKVTokenizer, or HFTokenizer where RWKV_VOCAB=20B is set");
  app.add_option("--dataset_impl", o.dataset_impl, "mmap")->capture_default_str();
  app.add_option("--jsonl_keys", o.jsonl_keys, "a pair of files for each")->capture_default_str();
  app.add_flag("--append_eod", o.append_eod, "an end-of-document token behind each document");
  app.add_flag("--ftfy{true}", o.ftfy, "not supported");
  app.add_option("--merge_file", o.merge_file, "not supported");
  app.add_option("--log_interval", o.log_interval, "changes nothing");
  app.add_option("--num_docs", o.num_docs, "changes nothing");
  add_common_options(app, o.tokenize);
  if (parse_words(app, argc, argv)) run(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
