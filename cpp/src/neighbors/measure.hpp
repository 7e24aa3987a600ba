// Rows of a matrix as they are compared, and distances between them in double precision.
#pragma once

#include <cstddef>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

// Row i in double precision, as given.
void read_row(const Points& points, std::size_t i, double* to);

// std::invalid_argument names the place of NaN, infinity and values beyond 1e150 in row i.
void check_finite(const Points& points, std::size_t i, const double* row, const char* name);

class Measure {
public:
    Measure(Metric metric, std::size_t n_columns) : metric_(metric), n_columns_(n_columns) {}

    Metric metric() const { return metric_; }

    // Makes a row as given into what is compared: for cosine of length 1, or all zeros.
    void prepare(double* row) const;
    // Row i as it is compared.
    void read(const Points& points, std::size_t i, double* to) const;

    // Of rows that were read so. The square of a euclidean distance.
    double operator()(const double* a, const double* b) const;

    // What is given to the caller.
    double final_distance(double measured) const;

    // Below this, nothing is measured.
    double least() const;

private:
    double squared(const double* a, const double* b) const;
    bool is_zero(const double* row) const;

    Metric metric_;
    std::size_t n_columns_;
};

struct Survey {
    double largest;            // absolute value
    std::vector<double> mean;  // in its last bits it depends on the number of threads
};

// Of the rows as they are compared. Checks all values: std::invalid_argument names the place.
Survey survey(const Points& points, const char* name, const Measure& measure,
              const Executor& executor);

}  // namespace labelquorum
