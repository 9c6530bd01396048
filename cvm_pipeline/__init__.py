"""The customer value management pipeline: raw CRM exports in, trustworthy customer tables out."""
