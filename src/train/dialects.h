// The trainers whose command lines are understood: how each is told from the options given, and what their defaults are.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace rk {

struct Dialect {
  const char* name;
  const char* trainer;                                         // whose command line
  std::vector<std::pair<const char*, const char*>> defaults;   // option and value that differ from RunConfig's own
  std::vector<std::pair<const char*, const char*>> untrained;  // the same, only where train_stage is 0
  // my_pile_stage: 2 and 3 set length and mini-epochs of the run, 2 has learning rates of its own, a restart has 10 (2) or 30 (3) warm-up
  // steps
  bool pile_stages = false;
  bool is_rwkv4 = false;   // trains RWKV-4 where nothing else is said
  bool emb_by_lr = false;  // fresh embeddings of every family reach to +-lr_init
};
const std::vector<Dialect>& dialect_table();
const Dialect& dialect_named(const std::string& name);

// What gives a dialect away. Rows are asked from the top; the first that holds decides.
struct DialectEvidence {
  const char* dialect;
  std::vector<const char*> any_of;               // spellings as typed; "lora*" is a prefix
  const char* needs = nullptr;                   // a further spelling that must be given ...
  std::vector<const char*> beginning_with = {};  // ... with a value that begins with one of these
};
const std::vector<DialectEvidence>& dialect_evidence();

struct GivenWord {
  std::string spelling, value;
};
struct DialectChoice {
  std::string name, because;  // `because`: the spelling that decided; empty when none did
};
DialectChoice choose_dialect(const std::vector<GivenWord>& given);

}  // namespace rk
