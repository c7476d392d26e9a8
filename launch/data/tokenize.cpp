// rookery data tokenize: text to token files.
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "launch/data/commands.h"
#include "launch/data/text_to_tokens.h"
#include "launch/words.h"

namespace rk {

int data_tokenize_main(int argc, char** argv) {
  CLI::App app{"Text to PREFIX.bin and PREFIX.idx. A run that was killed goes on when the same is asked for again",
               "rookery data tokenize"};
  TokenizeOptions o;
  std::string standard_input = "txt";
  app.add_option("inputs", o.args.inputs,
                 ".txt (one document), .jsonl (one document a line), a folder (all of these below it, sorted), - (standard input)")
      ->required();
  app.add_option("-o,--output", o.args.prefix, "PREFIX of the files to write")->required();
  app.add_option(
         "--tokenizer", o.tokenizer,
         "world, neox, bytes, char (makes PREFIX.vocab.json), char:VOCAB.json, a tokenizer.json or a vocabulary file of the world form")
      ->capture_default_str();
  app.add_option("--vocab", o.vocab, "vocabulary file of --tokenizer world; default: the one inside this program");
  app.add_option("--special_tokens", o.special_tokens, "JSON file {\"text\": id}: texts that are one token each");
  add_common_options(app, o);
  app.add_option("--text_key", o.args.text_key, "of a line of .jsonl: where its text is")->capture_default_str();
  app.add_option("--stdin", standard_input, "what standard input is: txt or jsonl")
      ->check(CLI::IsMember({"txt", "jsonl"}))
      ->capture_default_str();
  app.add_option("--n_epoch", o.args.n_epoch, "passes over the documents")->capture_default_str();
  app.add_option("--shuffle_seed", o.args.shuffle_seed,
                 "shuffle before each pass, in the order of Python's random.seed(S); default: file order");
  app.add_option("--ctx_len", o.ctx_len, "context length for which training flags are suggested")->capture_default_str();
  app.add_option("--journal_s", o.args.journal_s, "seconds after which PREFIX.journal says anew how far the run has come")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  if (!parse_words(app, argc, argv)) return static_cast<int>(ExitCode::done);
  o.args.standard_input = standard_input == "jsonl" ? TextKind::lines : TextKind::document;
  text_to_tokens(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
