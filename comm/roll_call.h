// What the ranks of a job say of themselves before they work together: a table of all, and a table of who differs.
#pragma once
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk {

// One thing that a rank says of itself. The texts have no line breaks, but for `lines`.
struct Statement {
  enum class Rule : uint8_t { equal, may_differ };  // equal: the job stops where ranks differ; may_differ: a warning
  std::string what, value;                          // "MPI", "4.1.4"
  Rule rule = Rule::equal;
  bool shown = true;  // in the table of all; what says nothing to people (a hash of the options) is shown where it differs only
  std::string lines;  // what stands behind the value, line by line: where values differ, the first lines that do are shown
};

// A rank's answer. All ranks make the same statements in the same order; a program that differs may make others.
struct RankCard {
  std::string host;
  std::string device;  // "NVIDIA H100 80GB HBM3", "CPU"
  int index = -1;      // of the GPU on its host; -1: none
  std::vector<Statement> statements;
};

// Every rank's card, in rank order, on every rank; `lines` only where the values of that statement differ. Collective, over tensors of the
// host.
std::vector<RankCard> call_roll(Comm& comm, const RankCard& mine);

// The table of hosts, ranks, devices and what all state alike: a line for each host and sort of device, at most `most` of them, the rest in
// one more.
std::vector<std::string> roll_table(const std::vector<RankCard>& cards, size_t most = 16);
// What may differ and does, one line each.
std::vector<std::string> roll_warnings(const std::vector<RankCard>& cards);
// Who differs in what must be equal, the value of most ranks first; several lines, without the last line end. Empty: nobody.
std::string roll_differences(const std::vector<RankCard>& cards);

// "0-3, 6" for increasing numbers.
std::string ranges_text(const std::vector<int>& numbers);

}  // namespace rk
