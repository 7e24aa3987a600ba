// Which instruction sets the kernels were compiled for, and which one is in use.
//
// The choice is made once, at first use: the widest one that the CPU has, or the one named by the
// environment variable LABELQUORUM_INSTRUCTION_SET ("baseline", "avx2", "avx512",
// "avx512_bf16", "amx"). Each holds those before.
#pragma once

#include <string>
#include <vector>

namespace labelquorum {

enum class InstructionSet { baseline, avx2, avx512, avx512_bf16, amx };

// The one in use. Throws std::invalid_argument when the environment variable names one that is
// unknown, not compiled in or not supported by this CPU.
InstructionSet instruction_set();

std::string name(InstructionSet set);

// The names of those compiled in, narrowest first.
std::vector<std::string> compiled_instruction_sets();

}  // namespace labelquorum
